// The app that opens the stores.

package wechatauth

import (
	"crypto/rand"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/sidecar"
)

func init() {
	caddy.RegisterModule(Opener{})
}

const openerID = "wechat_auth"

// machine returns a number that only this machine knows, or this process if its disk can't be
// written.
var machine = sync.OnceValue(func() string {
	id, err := caddy.InstanceID()
	if err != nil {
		return rand.Text()
	}
	return id.String()
})

// Opener opens the stores and reads the automatic keys when a configuration starts, so that a store
// that can't be opened keeps Caddy from starting, while validating a configuration touches none. It
// also compares the sites of a configuration, registers the metrics, and has the sites for the admin
// API. It has no options.
type Opener struct {
	ctx      caddy.Context
	open     []func() error
	gauges   *gauges
	all      []*sidecar.Site
	handlers []*Handler
	sites    map[[32]byte]string // for each way of accepting tokens, what else its first site asks of users
}

// CaddyModule returns the Caddy module information.
func (Opener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: openerID, New: func() caddy.Module { return &Opener{gauges: new(gauges), sites: map[[32]byte]string{}} }}
}

// Provision registers the metrics: Caddy makes a registry for each configuration, and an opener
// likewise.
func (o *Opener) Provision(ctx caddy.Context) error {
	o.ctx = ctx
	registry := ctx.GetMetricsRegistry()
	if registry == nil {
		return nil
	}
	for _, c := range append(collectors(), o.gauges) {
		if err := registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// add has something opened when the configuration starts. Where another configuration is at work it
// is opened at once: Caddy starts apps in no order, and the new one would serve before it failed.
func (o *Opener) add(open func() error) error {
	if caddy.ActiveContext().Context != nil {
		return open()
	}
	o.open = append(o.open, open)
	return nil
}

// Start implements caddy.App.
func (o *Opener) Start() error {
	for _, open := range o.open {
		if err := open(); err != nil {
			return err
		}
	}
	for _, site := range o.all {
		site.LogStart()
	}
	o.startForwarding()
	return nil
}

// Stop implements caddy.App. The stores are closed by the last handler that uses them.
func (*Opener) Stop() error { return nil }

// Interface guards
var (
	_ caddy.App         = (*Opener)(nil)
	_ caddy.Provisioner = (*Opener)(nil)
)
