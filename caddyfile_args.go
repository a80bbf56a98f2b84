// Arguments of Caddyfile options.

package wechatauth

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddy-wechat/wechatauth/sidecar"
)

var repeatable = map[string]bool{
	"app": true, "platform_certificate": true, "limit": true, "public": true, "optional": true, "phone_required": true,
	"header": true, "token_from": true, "previous_key": true,
}

// eachOption walks through a block. A repeated subdirective is refused: the second would silently
// win.
func eachOption(d *caddyfile.Dispenser, unmarshal func(*caddyfile.Dispenser) error) error {
	seen := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if seen[name] && !repeatable[name] {
			return d.Errf("%s was already given", name)
		}
		seen[name] = true
		if err := unmarshal(d); err != nil {
			return err
		}
	}
	return nil
}

// oneArg reads an option's only argument. Its error does not show what stands there, as
// Dispenser.ArgErr does: it may be the second half of a secret with a blank in it.
func oneArg(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	if !d.AllArgs(value) {
		return d.Errf("%s takes one argument; one with blanks needs quotes", name)
	}
	if *value == "" {
		return d.Errf("%s is empty", name)
	}
	return nil
}

func allArgs(d *caddyfile.Dispenser, values *[]string) error {
	if *values = d.RemainingArgs(); len(*values) == 0 {
		return d.ArgErr()
	}
	return nil
}

func choiceArg(d *caddyfile.Dispenser, value *string, choices ...string) error {
	name := d.Val()
	if err := oneArg(d, value); err != nil {
		return err
	}
	if !slices.Contains(choices, *value) {
		return d.Errf("%s %s: write %s", name, *value, strings.Join(choices, " or "))
	}
	return nil
}

func switchArg(d *caddyfile.Dispenser, on *bool) error {
	var text string
	if err := choiceArg(d, &text, "on", "off"); err != nil {
		return err
	}
	*on = text == "on"
	return nil
}

func sizeArg(d *caddyfile.Dispenser, size *int64) error {
	var text string
	name := d.Val()
	if err := oneArg(d, &text); err != nil {
		return err
	}
	bytes, err := humanize.ParseBytes(text)
	if err != nil || bytes == 0 || bytes > math.MaxInt64 {
		return d.Errf("%s %s: write a size above zero, such as 4MB", name, text)
	}
	*size = int64(bytes)
	return nil
}

// sizeOrOff reads a number of bytes that is 1 MiB or more, or -1 for off.
func sizeOrOff(d *caddyfile.Dispenser, size *int64) error {
	var text string
	name := d.Val()
	if err := oneArg(d, &text); err != nil {
		return err
	}
	if text == "off" {
		*size = -1
		return nil
	}
	parsed, err := humanize.ParseBytes(text)
	if err != nil || parsed < 1<<20 || parsed > 1<<40 {
		return d.Errf("%s %s: write a size of 1MiB or more, such as 32MiB, or off", name, text)
	}
	*size = int64(parsed)
	return nil
}

func countArg(d *caddyfile.Dispenser, count *int) error {
	var text string
	name := d.Val()
	if err := oneArg(d, &text); err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		return d.Errf("%s %s: write a whole number above zero", name, text)
	}
	*count = n
	return nil
}

func durationArg(d *caddyfile.Dispenser, duration *caddy.Duration) error {
	var text string
	name := d.Val()
	if err := oneArg(d, &text); err != nil {
		return err
	}
	parsed, err := caddy.ParseDuration(text)
	if err != nil || parsed <= 0 || parsed > 100*365*24*time.Hour {
		return d.Errf("%s %s: write a duration above zero, such as 5s, 1h or 30d", name, text)
	}
	*duration = caddy.Duration(parsed)
	return nil
}

func pathArgs(d *caddyfile.Dispenser, all *[]*Paths) error {
	name, p := d.Val(), new(Paths)
	for _, arg := range d.RemainingArgs() {
		if sidecar.IsMethod(arg) && len(p.Paths) == 0 {
			p.Methods = append(p.Methods, arg)
			continue
		}
		p.Paths = append(p.Paths, arg)
	}
	if len(p.Paths) == 0 {
		return d.ArgErr()
	}
	if err := p.Check(name); err != nil {
		return d.WrapErr(err)
	}
	*all = append(*all, p)
	return nil
}
