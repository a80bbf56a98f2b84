// The commands for what depends on a user's session_key or on the access token.

package wechatauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// wechatCommands returns the commands that need WeChat.
func wechatCommands() []*cobra.Command {
	return []*cobra.Command{
		withFlags(userCommand("sign", "Signs data with a user's session_key, as virtual payment wants it", sign), func(c *cobra.Command) {
			c.Flags().String("data", "-", "What to sign; - is the standard input, to its last byte")
		}),
		withFlags(userCommand("decrypt", "Decrypts open data of a user that is no phone number", decrypt), func(c *cobra.Command) {
			c.Flags().String("data", "", "encryptedData, as the mini program got it")
			c.Flags().String("iv", "", "iv, as the mini program got it")
		}),
		withFlags(command("token", "Prints the access token of a mini program, a secret", 0, token), func(c *cobra.Command) {
			c.Flags().String("app", "", "The mini program, where there are several")
		}),
	}
}

func sign(a admin) error {
	data := a.String("data")
	if data == "-" {
		all, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		data = string(all)
	}
	if !utf8.ValidString(data) { // JSON would carry other bytes, and WeChat refuse their signature
		return errors.New("what is to be signed is no UTF-8, which WeChat's calls are in")
	}
	answer, err := a.call(http.MethodPost, "sign", nil, map[string]string{"appid": a.String("app"), "openid": a.Arg(0), "data": data})
	if err != nil {
		return err
	}
	return a.printField(answer, "signature")
}

func decrypt(a admin) error {
	answer, err := a.call(http.MethodPost, "decrypt", nil, map[string]string{
		"appid": a.String("app"), "openid": a.Arg(0), "encryptedData": a.String("data"), "iv": a.String("iv"),
	})
	if err != nil {
		return err
	}
	return printIndented(answer)
}

func token(a admin) error {
	query := a.query()
	if app := a.String("app"); app != "" {
		query.Set("appid", app)
	}
	answer, err := a.call(http.MethodGet, "token", query, nil)
	if err != nil {
		return err
	}
	return a.printField(answer, "access_token")
}

// printField prints one field of an answer, so that a script can take it as it is.
func (a admin) printField(answer []byte, name string) error {
	if a.Bool("json") {
		return printIndented(answer)
	}
	var fields map[string]any
	if err := json.Unmarshal(answer, &fields); err != nil {
		return err
	}
	_, err := fmt.Fprintln(os.Stdout, fields[name])
	return err
}
