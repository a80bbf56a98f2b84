// What the operator's commands print for people.

package wechatauth

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// printAnswer prints an answer as it is, or the lines that a function makes of it, whose tabs become
// columns.
func printAnswer[T any](a admin, answer []byte, lines func(T) []string) error {
	if a.Bool("json") {
		return printIndented(answer)
	}
	return printTable(os.Stdout, answer, lines)
}

func printTable[T any](out io.Writer, answer []byte, lines func(T) []string) error {
	var v T
	if err := jsonv2.Unmarshal(answer, &v, jsonv2.WithUnmarshalers(jsonv2.UnmarshalFromFunc(plainText))); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(w, strings.Join(lines(v), "\n")); err != nil {
		return err
	}
	return w.Flush()
}

// plainText reads a text that goes to a terminal: a nickname or a claim must not move its cursor.
func plainText(dec *jsontext.Decoder, text *string) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() == '"' { // and no null
		*text = plain(token.String(), "")
	}
	return nil
}

// plain escapes, as JSON does, what a terminal obeys instead of showing it, apart from what is kept.
func plain(text, kept string) string {
	var b strings.Builder
	for _, r := range text {
		if !strings.ContainsRune(kept, r) && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) && !unicode.Is(unicode.Join_Control, r)) {
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

type userRow struct {
	AppID     string    `json:"appid"`
	OpenID    string    `json:"openid"`
	UnionID   string    `json:"unionid"`
	Phone     string    `json:"phone"`
	Nickname  string    `json:"nickname"`
	Avatar    string    `json:"avatar"`
	FirstSeen time.Time `json:"first_seen"`
	LastLogin time.Time `json:"last_login"`
	Sessions  int       `json:"sessions"`
	Ban       *struct {
		Reason string    `json:"reason"`
		Until  time.Time `json:"until"`
	} `json:"ban"`
}

func (u userRow) banned() string {
	switch {
	case u.Ban == nil:
		return ""
	case u.Ban.Until.IsZero():
		return strings.TrimSpace("banned " + u.Ban.Reason)
	}
	return strings.TrimSpace("banned until " + shown(u.Ban.Until) + " " + u.Ban.Reason)
}

func shown(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Local().Format(time.DateTime)
}

func users(a admin) error {
	query := a.query("phone", "openid", "unionid", "limit", "after")
	if app := a.String("app"); app != "" {
		query.Set("appid", app)
	}
	answer, err := a.call(http.MethodGet, "users", a.withPhones(query), nil)
	if err != nil {
		return err
	}
	return printAnswer(a, answer, userLines)
}

type userPage struct {
	Users []userRow `json:"users"`
	Next  string    `json:"next"`
}

func userLines(page userPage) []string {
	if len(page.Users) == 0 && page.Next == "" {
		return []string{"no user found"}
	}
	lines := []string{"APP\tOPENID\tPHONE\tNICKNAME\tLAST LOGIN\tSESSIONS\tBAN"}
	for _, u := range page.Users {
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%d\t%s", u.AppID, u.OpenID, u.Phone, u.Nickname, shown(u.LastLogin), u.Sessions, u.banned()))
	}
	if page.Next != "" {
		lines = append(lines, "more: --after "+page.Next)
	}
	return lines
}

func (a admin) withPhones(query url.Values) url.Values {
	if a.Bool("phones") {
		query.Set("phones", "full")
	}
	return query
}

func show(a admin) error {
	answer, err := a.call(http.MethodGet, a.user(""), a.withPhones(url.Values{}), nil)
	if err != nil {
		return err
	}
	return printAnswer(a, answer, knownLines)
}

type knownUser struct {
	User     userRow `json:"user"`
	Sessions []struct {
		SID     string          `json:"sid"`
		Site    string          `json:"site"`
		Created time.Time       `json:"created"`
		LastUse time.Time       `json:"last_use"`
		Ends    time.Time       `json:"ends"`
		Claims  json.RawMessage `json:"claims"`
	} `json:"sessions"`
}

func knownLines(known knownUser) (lines []string) {
	u := known.User
	for _, line := range [][2]string{
		{"app", u.AppID},
		{"openid", u.OpenID},
		{"unionid", u.UnionID},
		{"phone", u.Phone},
		{"nickname", u.Nickname},
		{"avatar", u.Avatar},
		{"first seen", shown(u.FirstSeen)},
		{"last login", shown(u.LastLogin)},
		{"ban", u.banned()},
	} {
		if line[1] != "" {
			lines = append(lines, line[0]+":\t"+line[1])
		}
	}
	lines = append(lines, "", "SESSION\tSITE\tSINCE\tLAST USE\tENDS\tCLAIMS")
	for _, s := range known.Sessions {
		lines = append(lines, strings.Join([]string{
			s.SID, s.Site, shown(s.Created), shown(s.LastUse), shown(s.Ends), plain(string(s.Claims), ""),
		}, "\t"))
	}
	return lines
}

func status(a admin) error {
	answer, err := a.call(http.MethodGet, "status", nil, nil)
	if err != nil {
		return err
	}
	return printAnswer(a, answer, statusLines)
}

type statusReport struct {
	Status  string   `json:"status"`
	Why     []string `json:"why"`
	Version string   `json:"version"`
	Store   struct {
		Name string `json:"name"`
		Up   bool   `json:"up"`
	} `json:"store"`
	Apps []struct {
		AppID    string `json:"appid"`
		TokenAge *int64 `json:"access_token_age"`

		Pushes     int       `json:"pushes_waiting"`
		OldestPush time.Time `json:"oldest_push"`
	} `json:"apps"`
	Sites []struct {
		BasePath string `json:"base_path"`
		Issuer   string `json:"issuer"`
		Keys     []struct {
			KID  string    `json:"kid"`
			From time.Time `json:"from"`
		} `json:"automatic_keys"`
	} `json:"sites"`
	Users     *int64 `json:"users"` // nil: not known
	Sessions  int64  `json:"sessions"`
	Estimated bool   `json:"estimated"`
}

func statusLines(s statusReport) (lines []string) {
	line := func(name, format string, values ...any) {
		lines = append(lines, name+":\t"+fmt.Sprintf(format, values...))
	}
	line("status", "%s", strings.Join(append([]string{s.Status}, s.Why...), "; "))
	line("version", "%s", s.Version)
	line("store", "%s, %s", s.Store.Name, map[bool]string{true: "up", false: "down"}[s.Store.Up])
	if s.Users != nil {
		line("users", "%s%d, with %s", map[bool]string{true: "about "}[s.Estimated], *s.Users, counted(int(s.Sessions), "session"))
	}
	for _, app := range s.Apps {
		age := "no access token so far"
		if app.TokenAge != nil {
			age = "access token fetched " + (time.Duration(*app.TokenAge) * time.Second).String() + " ago"
		}
		line("app", "%s, %s", app.AppID, age)
		if app.Pushes > 0 {
			line("pushes", "%d of %s wait for the backend, the oldest since %s", app.Pushes, app.AppID, shown(app.OldestPush))
		}
	}
	return append(lines, s.siteLines()...)
}

func (s statusReport) siteLines() (lines []string) {
	for _, site := range s.Sites {
		lines = append(lines, fmt.Sprintf("site:\t%s, issuer %s", site.BasePath, site.Issuer))
		for _, key := range site.Keys {
			lines = append(lines, fmt.Sprintf("key:\t%s, signs from %s", key.KID, shown(key.From)))
		}
	}
	return lines
}
