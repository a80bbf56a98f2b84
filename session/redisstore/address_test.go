// Addresses and options.

package redisstore_test

import (
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/session/redisstore"
)

func TestNewWantsGoodSettings(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 32)
	urls := func(urls ...string) redisstore.Config { return redisstore.Config{URLs: urls} }
	for _, test := range []struct {
		name string
		cfg  redisstore.Config
		want string // in the error; none if empty
	}{
		{"one", urls("redis://localhost"), ""},
		{"database and password", urls("rediss://:hunter2@[::1]:6380/3"), ""},
		{"escaped password", urls("redis://:hunter2%2F%40%3A@localhost"), ""},
		{"cluster", urls("redis://:hunter2@a", "redis://:hunter2@b"), ""},
		{"cluster of one address", urls("rediss+cluster://u:hunter2@a:6379"), ""},
		{"cluster list", urls("redis+cluster://a:6379,b:6379,c:6379"), ""},
		{"sentinel", urls("redis+sentinel://u:hunter2@a:26379,b:26379,[::1]/main/2"), ""},
		{"several sentinel URLs", urls("redis+sentinel://a/main", "redis+sentinel://b/main"), ""},
		{"sentinel password", urls("rediss+sentinel://a/main?sentinel_password=hunter2"), ""},
		{"seal key", redisstore.Config{URLs: []string{"redis://a"}, SealKey: key}, ""},
		{"any password", redisstore.Config{URLs: []string{"redis://a/1"}, Username: "u", Password: "hunter2/@:%?#"}, ""},

		{"nothing", redisstore.Config{}, "no address"},
		{"no scheme", urls("hunter2@localhost"), "address 1: want redis://"},
		{"another scheme", urls("http://:hunter2@localhost"), "want redis://"},
		{"another kind", urls("redis+ring://:hunter2@localhost"), "want redis://"},
		{"no host", urls("redis://:hunter2@"), "want redis://"},
		{"bad escape", urls("redis://:hunter2%@localhost"), "percent-encoded"},
		{"slash in the password", urls("redis://:hunter2/x@localhost"), "percent-encoded"},
		{"bad port", urls("redis://:hunter2@localhost:x"), "want redis://"},
		{"bad database", urls("redis://:hunter2@localhost/x"), "want redis://"},
		{"negative database", urls("redis://:hunter2@localhost/-1"), "want redis://"},
		{"two databases", urls("redis://:hunter2@localhost/1/2"), "want redis://"},
		{"list of single servers", urls("redis://:hunter2@a,b"), "want redis://"},
		{"unknown setting", urls("redis://:hunter2@a?x=y"), "want redis://"},
		{"fragment", urls("redis://:hunter2@a#x"), "want redis://"},
		{"cluster with a database", urls("redis+cluster://:hunter2@a/1"), "no databases"},
		{"sentinel without a master", urls("redis+sentinel://:hunter2@a"), "/master"},
		{"sentinel with a setting", urls("redis+sentinel://:hunter2@a/main?x=hunter2"), "/master"},
		{"unlike addresses", urls("redis://:hunter2@a", "redis://:other@b"), "differ"},
		{"unlike kinds", urls("redis://:hunter2@a", "rediss://:hunter2@b"), "differ"},
		{"password twice", redisstore.Config{URLs: []string{"redis://:hunter2@a"}, Password: "hunter2"}, "not in both"},
		{"ca without TLS", redisstore.Config{URLs: []string{"redis://a"}, CA: []byte("x")}, "rediss://"},
		{"ca that is none", redisstore.Config{URLs: []string{"rediss://a"}, CA: []byte("hunter2")}, "no certificate"},
		{"cert without key", redisstore.Config{URLs: []string{"rediss://a"}, Certificate: []byte("hunter2")}, "private key"},
		{"short seal key", redisstore.Config{URLs: []string{"redis://a"}, SealKey: "hunter2"}, "openssl rand"},
		{"braces", redisstore.Config{URLs: []string{"redis://a"}, Prefix: "{x}"}, "braces"},
		{"negative replicas", redisstore.Config{URLs: []string{"redis://a"}, WaitReplicas: -1}, "negative"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := redisstore.New(test.cfg)
			if err == nil {
				defer s.Close()
			}
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got error %v, want none", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want one with %q", err, test.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("got error %q, want one without the secret", err)
			}
		})
	}
}
