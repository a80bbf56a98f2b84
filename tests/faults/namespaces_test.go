//go:build linux

// Network namespaces: a machine's own networks, which nobody else sees.

package faults_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// inside is set in the process that has namespaces of its own.
const inside = "WECHATAUTH_FAULTS_INSIDE"

// isolated runs a test in a process with a network and mounts of its own, which end with it, and
// reports whether this is that process.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		enter(t)
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatal("install iproute2: apt-get install iproute2")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=20m", fmt.Sprint("-faults.seed=", *seed), fmt.Sprint("-faults.all=", *whole))
	cmd.Env = append(os.Environ(), inside+"="+program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if len(out) == 0 && err != nil {
		t.Fatalf("this test makes network namespaces, and the kernel refuses: run it as root, or allow user namespaces (%v)", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("in namespaces: %v", err)
	}
	return false
}

// enter prepares this process's namespaces.
func enter(t *testing.T) {
	t.Helper()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil { // where ip keeps the names
		t.Fatal(err)
	}
	ip(t, "link set lo up")
}

func ip(t *testing.T, words string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(words)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", words, err, out)
	}
}

// place is the machine of a node: a namespace with two cables to this one. Redis is reached over
// the first, everything else over the second.
type place struct {
	t      *testing.T
	name   string
	number int
}

func newPlace(t *testing.T, name string, number int) place {
	t.Helper()
	p := place{t, name, number}
	ip(t, "netns add "+name)
	p.inside("link set lo up")
	for _, cable := range []string{"redis", "rest"} {
		here, there := p.cable(cable)
		ip(t, "link add "+here+" type veth peer name "+there+" netns "+name)
		ip(t, "address add "+p.address(cable, 1)+"/24 dev "+here)
		p.inside("address add " + p.address(cable, 2) + "/24 dev " + there)
		ip(t, "link set "+here+" up")
		p.inside("link set " + there + " up")
	}
	return p
}

func (p place) cable(name string) (here, there string) { return name + "-" + p.name, name }

// address is that of one of the ends of a cable: 1 is here, 2 there.
func (p place) address(cable string, end int) string {
	return fmt.Sprintf("10.%d.%d.%d", map[string]int{"redis": 91, "rest": 92}[cable], p.number, end)
}

func (p place) inside(words string) {
	p.t.Helper()
	ip(p.t, "-n "+p.name+" "+words)
}

// nowhere is the hardware address of nobody: what is sent there is dropped, and neither side gets an error.
const nowhere = "02:00:00:00:00:99"

// cuts are the ways to lose Redis, and back.
var cuts = []struct {
	name      string
	cut, join func(place)
}{
	{"cable out", func(p place) {
		here, _ := p.cable("redis")
		ip(p.t, "link set "+here+" down")
	}, func(p place) {
		here, _ := p.cable("redis")
		ip(p.t, "link set "+here+" up")
	}},
	{"answers dropped", place.dropAnswers, place.passAnswers},
	{"requests dropped", place.dropRequests, place.passRequests},
	{"all dropped", func(p place) {
		p.dropAnswers()
		p.dropRequests()
	}, func(p place) {
		p.passAnswers()
		p.passRequests()
	}},
}

func (p place) dropAnswers() {
	here, _ := p.cable("redis")
	ip(p.t, "neigh replace "+p.address("redis", 2)+" lladdr "+nowhere+" nud permanent dev "+here)
}

func (p place) passAnswers() {
	here, _ := p.cable("redis")
	ip(p.t, "neigh del "+p.address("redis", 2)+" dev "+here)
}

func (p place) dropRequests() {
	_, there := p.cable("redis")
	p.inside("neigh replace " + p.address("redis", 1) + " lladdr " + nowhere + " nud permanent dev " + there)
}

func (p place) passRequests() {
	_, there := p.cable("redis")
	p.inside("neigh del " + p.address("redis", 1) + " dev " + there)
}

// startIn runs a Caddy in a place; the lines are those of wechat_auth.
func startIn(t *testing.T, p place, s *secrets, lines ...string) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir(), secrets: s}
	port := testkit.FreePort(t)
	n.url = "http://" + net.JoinHostPort(p.address("rest", 2), port)
	n.http = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	n.start("{\nadmin off\npersist_config off\ngrace_period 5s\n}\nhttp://:"+port+" {\nwechat_auth {\n"+strings.Join(lines, "\n")+
		"\n}\nhandle /health {\nrespond healthy\n}\nhandle {\nrespond {http.auth.user.openid}\n}\n}\n", "ip", "netns", "exec", p.name)
	within(t, patience, "Caddy serves", func() bool { return n.get("/health", "").status == 200 })
	return n
}

// listenHere serves on all addresses of this namespace.
func listenHere(t *testing.T, handler http.Handler) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port
}
