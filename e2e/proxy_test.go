//go:build unix

// A TCP proxy that can be cut, paused and slowed down.

package e2e_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy is the network between a node and its Redis.
type proxy struct {
	addr     string
	upstream string

	mu    sync.Mutex
	wake  *sync.Cond
	state string // "", "cut" or "mute"
	conns map[net.Conn]bool
}

func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: listener.Addr().String(), upstream: upstream, conns: map[net.Conn]bool{}}
	p.wake = sync.NewCond(&p.mu)
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *proxy) serve(conn net.Conn) {
	defer conn.Close()
	other, err := net.Dial("tcp", p.upstream)
	if err != nil {
		return
	}
	defer other.Close()
	if !p.add(conn, other) {
		return
	}
	go func() {
		p.copy(other, conn)
		_ = other.Close()
	}()
	p.copy(conn, other)
}

func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		p.conns[conn] = true
	}
	return p.state != "cut"
}

func (p *proxy) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		for p.state == "mute" {
			p.wake.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) set(state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
	if state == "cut" {
		for conn := range p.conns {
			_ = conn.Close()
		}
		p.conns = map[net.Conn]bool{}
	}
	p.wake.Broadcast()
}

func (p *proxy) cut()  { p.set("cut") }  // closes all connections and takes no new one
func (p *proxy) mute() { p.set("mute") } // takes everything and passes nothing on
func (p *proxy) join() { p.set("") }
