// The operator's commands: `caddy wechat-auth …`.

package wechatauth

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-wechat/wechatauth/wechat"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "wechat-auth",
		Usage: "<command>",
		Short: "Shows and changes what wechat_auth knows of users",
		Long: `
Shows and changes what wechat_auth knows of users, through the admin API of
the Caddy that runs. A command ends with status 1 if that is not possible.

A user is named by the openid, and by --app where several mini programs are
configured.`,
		CobraFunc: func(cmd *cobra.Command) {
			flags := cmd.PersistentFlags()
			flags.String("address", "", "Address of the administration API listener (if --config is not used)")
			flags.StringP("config", "c", "", "Configuration file (if --address is not used)")
			flags.StringP("adapter", "a", "", "Name of config adapter to apply (if --config is used)")
			flags.String("store", "", "The store, where there are several (see status)")
			flags.Bool("json", false, "Print what the admin API answers, and errors, as JSON")
			cmd.AddCommand(commands()...)
			// Without these a command with a typing error prints the help and succeeds.
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		},
	})
}

// commands returns the commands below wechat-auth.
func commands() []*cobra.Command {
	return slices.Concat(userCommands(), wechatCommands(), offlineCommands())
}

// userCommands returns the commands about users and what is kept of them.
func userCommands() []*cobra.Command {
	return []*cobra.Command{
		command("doctor", "Finds mistakes of the Caddy that runs, or of the configuration file of --config", 0, diagnose),
		command("status", "Shows the store, the apps, the keys and what is degraded", 0, status),
		withFlags(command("users", "Lists users, the newest login first where the store can", 0, users), func(c *cobra.Command) {
			c.Flags().String("app", "", "Only users of this mini program")
			c.Flags().String("phone", "", "Only users with this phone")
			c.Flags().String("openid", "", "Only the user with this openid")
			c.Flags().String("unionid", "", "Only users with this unionid")
			c.Flags().String("limit", "", "Users on a page")
			c.Flags().String("after", "", "The next page: what the last one ended with")
			c.Flags().Bool("phones", false, "Show whole phone numbers")
		}),
		withFlags(userCommand("show", "Shows a user and the live sessions", show), func(c *cobra.Command) {
			c.Flags().Bool("phones", false, "Show the whole phone number")
		}),
		withFlags(userCommand("logout", "Ends the sessions of a user", logout), func(c *cobra.Command) {
			c.Flags().String("sid", "", "End this session alone")
		}),
		withFlags(userCommand("ban", "Ends the sessions of a user and refuses logins", ban), func(c *cobra.Command) {
			c.Flags().String("reason", "", "What the user is told at login")
			c.Flags().String("until", "", "When the ban ends, such as 2027-01-31T08:00:00+08:00; else it stays")
		}),
		userCommand("unban", "Lets a user log in again", unban),
		userCommand("erase", "Removes a user: phone, nickname, avatar and sessions", erase),
		userCommand("export", "Prints everything that is stored about a user", export),
		command("import <file>", "Brings users along, from JSON lines; - is the standard input", 1, importUsers),
		command("backup <file>", "Copies an SQLite store to a new file while it is used", 1, backup),
		command("rotate", "Has the automatic keys replaced, once the next ones were published long enough", 0, rotate),
		withFlags(command("pushes", "Lists the pushes of WeChat's that wait for the backend, or tries one now", 0, pushes), func(c *cobra.Command) {
			c.Flags().String("repeat", "", "Try the push with this id now, before its time")
		}),
		convertCommand(),
	}
}

func command(use, short string, args int, run func(admin) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(args), RunE: runs(func(fl caddycmd.Flags) error {
		a, err := newAdmin(fl)
		if err != nil {
			return err
		}
		return run(a)
	})}
}

// runs adds to the run of a command what all have in common.
func runs(run func(caddycmd.Flags) error) func(*cobra.Command, []string) error {
	return caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		err := complete(fl)
		if err == nil {
			err = run(fl)
		}
		if err == nil {
			return caddy.ExitCodeSuccess, nil
		}
		if fl.Bool("json") {
			err = errors.Join(err, printError(err))
		}
		return caddy.ExitCodeFailedStartup, err
	})
}

// complete refuses what is empty, as an unset variable of a shell makes it: without its value a
// filter lists everybody, and a logout ends all sessions.
func complete(fl caddycmd.Flags) (err error) {
	fl.Visit(func(f *pflag.Flag) {
		if f.Value.String() == "" {
			err = fmt.Errorf("--%s is empty", f.Name)
		}
	})
	if slices.Contains(fl.Args(), "") {
		err = errors.New("an argument is empty")
	}
	return err
}

// userCommand is a command about one user.
func userCommand(name, short string, run func(admin) error) *cobra.Command {
	return withFlags(command(name+" <openid>", short, 1, func(a admin) error {
		// In a path, other names would lead elsewhere.
		if !wechat.ValidUserID(a.Arg(0)) || !wechat.ValidUserID(cmp.Or(a.String("app"), "-")) {
			return refusal{"invalid_request", "an openid and an AppID have letters, digits, - and _ alone"}
		}
		return run(a)
	}), func(c *cobra.Command) {
		c.Flags().String("app", "", "The user's mini program, where there are several")
	})
}

func withFlags(cmd *cobra.Command, add func(*cobra.Command)) *cobra.Command {
	add(cmd)
	return cmd
}

// admin asks the admin API what a command line wants.
type admin struct {
	caddycmd.Flags
	address string
}

func newAdmin(fl caddycmd.Flags) (admin, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	return admin{fl, address}, err
}

// user returns the path of the user that the command is about.
func (a admin) user(rest string) string {
	return "users/" + url.PathEscape(cmp.Or(a.String("app"), "-")) + "/" + url.PathEscape(a.Arg(0)) + rest
}

// query takes flags into a query, those that are set.
func (a admin) query(flags ...string) url.Values {
	query := url.Values{}
	for _, name := range flags {
		if value := a.String(name); value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// call returns the answer of the admin API.
func (a admin) call(method, path string, query url.Values, body any) ([]byte, error) {
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(encoded)
	}
	return a.send(method, path, query, text)
}

func (a admin) send(method, path string, query url.Values, body io.Reader) ([]byte, error) {
	if query == nil {
		query = url.Values{}
	}
	if store := a.String("store"); store != "" {
		query.Set("store", store)
	}
	address := adminPath + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	res, err := caddycmd.AdminAPIRequest(a.address, method, address, http.Header{}, body)
	if err != nil {
		return nil, explained(err)
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// refusal is an error that the admin API answers.
type refusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (r refusal) Error() string { return plain(r.Code+": "+r.Description, "") }

// explained takes the refusal out of an error, where Caddy has wrapped it in its status.
func explained(err error) error {
	_, text, found := strings.Cut(err.Error(), "{")
	var r refusal
	if !found || json.Unmarshal([]byte("{"+strings.TrimSpace(text)), &r) != nil || r.Description == "" {
		return err
	}
	return r
}

// reported is an error after an answer that was printed and tells more.
type reported struct{ error }

// printError prints an error in the form of refusals, unless the answer was printed.
func printError(err error) error {
	if _, ok := errors.AsType[reported](err); ok {
		return nil
	}
	r, ok := errors.AsType[refusal](err)
	if !ok {
		r = refusal{"failed", err.Error()}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return printIndented(text)
}

// change carries out a change of a user, which is answered with nothing.
func (a admin) change(method, rest string, body any, done string) error {
	if _, err := a.call(method, a.user(rest), nil, body); err != nil {
		return err
	}
	return printDone(a.Flags, done)
}

// printDone prints what was done, or that there is no more to say.
func printDone(fl caddycmd.Flags, done string) error {
	if fl.Bool("json") {
		done = "{}"
	}
	_, err := fmt.Fprintln(os.Stdout, done)
	return err
}

func logout(a admin) error {
	if sid := a.String("sid"); sid != "" {
		return a.change(http.MethodPost, "/logout", map[string]string{"sid": sid}, "the session has ended")
	}
	return a.change(http.MethodPost, "/logout", nil, "all sessions have ended")
}

func ban(a admin) error {
	body := map[string]string{}
	for _, name := range []string{"reason", "until"} {
		if value := a.String(name); value != "" {
			body[name] = value
		}
	}
	return a.change(http.MethodPut, "/ban", body, "the user is banned, and all sessions have ended")
}

func unban(a admin) error {
	return a.change(http.MethodDelete, "/ban", nil, "the user may log in again")
}

func erase(a admin) error {
	return a.change(http.MethodDelete, "", nil, "the user is erased")
}

func export(a admin) error {
	answer, err := a.call(http.MethodGet, a.user("/export"), nil, nil)
	if err != nil {
		return err
	}
	return printIndented(answer)
}

func printIndented(answer []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(answer), "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(os.Stdout, plain(out.String(), "\n")) // in a text, which is where it can be, an escape says the same
	return err
}
