// The operator's commands for whole stores.

package wechatauth

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/sqlitestore"
)

// importLines is the number of lines in one request: the admin API ends those that take long.
const importLines = 2000

const (
	maxImportLine  = 8 << 10 // more than the admin API takes
	maxFailedLines = 10_000
)

type importReport struct {
	Imported int          `json:"imported"`
	Failed   []failedLine `json:"failed"`
}

type failedLine struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

func importUsers(a admin) error {
	in, size := os.Stdin, int64(-1)
	if name := a.Arg(0); name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // it was only read
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		in = f
	}
	bar := newProgress(size, "importing")
	defer func() { _ = bar.Finish() }() // only the terminal's
	report := importReport{Failed: []failedLine{}}
	if err := a.importFrom(bufio.NewReaderSize(in, maxImportLine), &report, bar); err != nil {
		return fmt.Errorf("after %s: %w; import the file again, that does no harm", counted(report.Imported, "user"), err)
	}
	if err := printReport(a, report); err != nil {
		return err
	}
	if n := len(report.Failed); n > 0 {
		return reported{errors.New("wrong: " + counted(n, "line"))}
	}
	return nil
}

// importFrom sends the lines in parts, and numbers those that are wrong as in the whole.
func (a admin) importFrom(in *bufio.Reader, report *importReport, bar *progressbar.ProgressBar) error {
	for before, ended := 0, false; !ended; before += importLines {
		var part bytes.Buffer
		for range importLines {
			var err error
			if ended, err = copyLine(&part, in); err != nil {
				return err
			}
			if ended {
				break
			}
		}
		if part.Len() == 0 {
			return nil
		}
		size := part.Len()
		text, err := a.send(http.MethodPost, "users", nil, &part)
		if err != nil {
			return err
		}
		var answer importReport
		if err := json.Unmarshal(text, &answer); err != nil {
			return err
		}
		report.Imported += answer.Imported
		for _, failed := range answer.Failed {
			failed.Line += before
			report.Failed = append(report.Failed, failed)
		}
		if len(report.Failed) > maxFailedLines {
			return errors.New("too many lines are wrong: is it JSON lines?")
		}
		_ = bar.Add(size) // as above
	}
	return nil
}

// copyLine copies a line. Of one that is too long, as in a file of another kind, it copies enough to
// be refused.
func copyLine(to *bytes.Buffer, in *bufio.Reader) (ended bool, err error) {
	line, err := in.ReadSlice('\n')
	to.Write(line)
	if errors.Is(err, bufio.ErrBufferFull) {
		to.WriteByte('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
	}
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

func printReport(a admin, report importReport) error {
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	return printAnswer(a, text, func(report importReport) []string {
		lines := []string{counted(report.Imported, "user") + " imported"}
		for _, failed := range report.Failed {
			lines = append(lines, fmt.Sprintf("line %d:\t%s", failed.Line, failed.Error))
		}
		return lines
	})
}

func backup(a admin) error {
	file, err := filepath.Abs(a.Arg(0))
	if err != nil {
		return err
	}
	if _, err = a.call(http.MethodPost, "backup", nil, map[string]string{"file": file}); err != nil {
		return err
	}
	return printDone(a.Flags, "the store is copied")
}

func rotate(a admin) error {
	answer, err := a.call(http.MethodPost, "keys/rotate", nil, nil)
	if err != nil {
		return err
	}
	return printAnswer(a, answer, func(s statusReport) []string { return s.siteLines() })
}

// convertCommand works on the stores themselves.
func convertCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "convert <from> <to>",
		Short: "Copies a store that is not in use to another one",
		Long: `
Copies users, sessions, bans, revocations and automatic keys from one store to
another, such as sqlite:/var/lib/caddy/sessions.db to redis://localhost:6379.
Stop all Caddys that use either of them. What the other store already has of
the same users is replaced.`,
		Args: cobra.ExactArgs(2),
	}
	for _, side := range []string{"from", "to"} {
		cmd.Flags().String(side+"-seal-key", "", "The seal_key of that Redis; {env.NAME} keeps it off the command line")
		cmd.Flags().String(side+"-prefix", "", "The prefix of that Redis")
	}
	cmd.RunE = runs(convert)
	return cmd
}

func convert(fl caddycmd.Flags) (err error) {
	from, err := openStore(fl, fl.Arg(0), "from")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := openStore(fl, fl.Arg(1), "to")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	ctx := context.Background()
	// One that is sealed in another way is found before anything of it is replaced.
	if _, _, err := to.Keys(ctx); err != nil {
		return err
	}
	stats, err := from.Stats(ctx)
	if err != nil {
		return err
	}
	bar := newProgress(stats.Users, "copying", progressbar.OptionShowCount())
	users, sessions, empty := 0, 0, true
	err = from.Dump(ctx, func(part session.Dump) error {
		empty = empty && len(part.Accounts) == 0 && part.Keys == nil
		for i := range part.Accounts {
			sessions += len(part.Accounts[i].Sessions)
			if part.Accounts[i].User.OpenID != "" { // else all that is left of an erased user
				users++
			}
		}
		_ = bar.Set(min(users, int(stats.Users))) // only the terminal's, and the total is an estimate
		return to.Restore(ctx, part, time.Now())
	})
	_ = bar.Finish()
	if err == nil && empty {
		err = errors.New("there is nothing to copy: is --from-prefix right?")
	}
	if err != nil {
		return err
	}
	if fl.Bool("json") {
		_, err = fmt.Fprintf(os.Stdout, "{\"users\": %d, \"sessions\": %d}\n", users, sessions)
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, "%s and %s copied\n", counted(users, "user"), counted(sessions, "session"))
	return err
}

// openStore opens sqlite:<file>, or Redis by its address. Only the second store is made where there
// is none.
func openStore(fl caddycmd.Flags, address, side string) (session.Store, error) {
	repl := caddy.NewReplacer()
	file, ok := strings.CutPrefix(address, "sqlite:")
	if ok {
		if _, err := os.Stat(file); err != nil && side == "from" {
			return nil, err
		}
		store, err := sqlitestore.Open(file, sqlitestore.Options{Wait: -1})
		if errors.Is(err, sqlitestore.ErrInUse) {
			return nil, fmt.Errorf("%s is in use: stop the Caddy that has it, and all others on either store, until the copy is made", address)
		}
		return store, err
	}
	if !strings.HasPrefix(address, "redis") {
		return nil, errors.New("write each store as sqlite:<file> or redis://…")
	}
	address, err := resolveURL(repl, side, address)
	if err != nil {
		return nil, err
	}
	cfg := redisstore.Config{URLs: []string{address}, Prefix: fl.String(side + "-prefix")}
	if key := fl.String(side + "-seal-key"); key != "" {
		if cfg.SealKey, err = resolve(repl, side+"-seal-key", key); err != nil {
			return nil, err
		}
	}
	return redisstore.New(cfg)
}
