// The commands that ask nobody: keys and tokens.

package wechatauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	gojwt "github.com/golang-jwt/jwt/v5"
	"github.com/spf13/cobra"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// maxToken bounds what is read of a token.
const maxToken = 64 << 10

// offlineCommands returns the commands that ask nobody.
func offlineCommands() []*cobra.Command {
	return []*cobra.Command{
		offlineCommand("keygen <alg>", "Prints a new key for token key: a private key as PEM, or a secret for HS256 and kin", keygen),
		offlineCommand("inspect <token>", "Shows what is in an access token, without verifying it; - reads it from the standard input", inspect),
		versionCommand(),
	}
}

func offlineCommand(use, short string, run func(caddycmd.Flags) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: runs(run)}
}

func keygen(fl caddycmd.Flags) error {
	key, err := jwt.GenerateKey(fl.Arg(0))
	if err != nil {
		return err
	}
	text, err := key.ExportPrivate()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, "%s\n", bytes.TrimSuffix(text, []byte("\n")))
	return err
}

var errNoJWT = errors.New("this is no JWT: it has three parts of base64 with dots between, of which the first two are JSON")

func inspect(fl caddycmd.Flags) error {
	text := fl.Arg(0)
	if text == "-" {
		all, err := io.ReadAll(io.LimitReader(os.Stdin, maxToken))
		if err != nil {
			return err
		}
		text = string(all)
	}
	text = strings.TrimPrefix(strings.TrimSpace(text), "Bearer ")
	claims := gojwt.MapClaims{}
	parsed, _, err := gojwt.NewParser(gojwt.WithJSONNumber()).ParseUnverified(text, claims)
	if parsed == nil || err != nil && !errors.Is(err, gojwt.ErrTokenUnverifiable) { // an algorithm that is not known shows, too
		return errNoJWT // the parser's own error may quote it
	}
	shown, err := json.Marshal(map[string]any{"header": parsed.Header, "claims": claims})
	if err != nil {
		return err
	}
	if err := printIndented(shown); err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stderr, "The signature was not verified: anybody can write such a token."+lifeOf(claims, time.Now()))
	return err
}

// lifeOf says since when a token is good, and until when.
func lifeOf(claims gojwt.MapClaims, now time.Time) string {
	issued, noIssue := claims.GetIssuedAt()
	expires, noExpiry := claims.GetExpirationTime()
	if noIssue != nil || noExpiry != nil || issued == nil || expires == nil {
		return ""
	}
	verb := "expires"
	if expires.Before(now) {
		verb = "expired"
	}
	return fmt.Sprintf(" It says that it was issued at %s and %s at %s.", issued.Format(time.RFC3339), verb, expires.Format(time.RFC3339))
}
