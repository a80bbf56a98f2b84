package session_test

import (
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
)

func TestNewRedisWantsGoodSettings(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 32)
	for _, test := range []struct {
		name string
		cfg  session.RedisConfig
		want string // in the error; none if empty
	}{
		{"one", session.RedisConfig{URLs: []string{"redis://localhost"}}, ""},
		{"database and password", session.RedisConfig{URLs: []string{"rediss://:hunter2@[::1]:6380/3"}}, ""},
		{"cluster", session.RedisConfig{URLs: []string{"redis://:hunter2@a", "redis://:hunter2@b"}}, ""},
		{"cluster of one address", session.RedisConfig{URLs: []string{"rediss+cluster://u:hunter2@a:6379"}}, ""},
		{"cluster list", session.RedisConfig{URLs: []string{"redis+cluster://a:6379,b:6379,c:6379"}}, ""},
		{"sentinel", session.RedisConfig{URLs: []string{"redis+sentinel://u:hunter2@a:26379,b:26379,[::1]/main/2"}}, ""},
		{"sentinel password", session.RedisConfig{URLs: []string{"rediss+sentinel://a/main?sentinel_password=hunter2"}}, ""},
		{"seal key", session.RedisConfig{URLs: []string{"redis://a"}, SealKey: key}, ""},

		{"nothing", session.RedisConfig{}, "no redis address"},
		{"no scheme", session.RedisConfig{URLs: []string{"hunter2@localhost"}}, "address 1: want redis://"},
		{"another scheme", session.RedisConfig{URLs: []string{"http://:hunter2@localhost"}}, "want redis://"},
		{"another kind", session.RedisConfig{URLs: []string{"redis+ring://:hunter2@localhost"}}, "want redis://"},
		{"no host", session.RedisConfig{URLs: []string{"redis://:hunter2@"}}, "want redis://"},
		{"bad escape", session.RedisConfig{URLs: []string{"redis://:hunter2%@localhost"}}, "want redis://"},
		{"bad port", session.RedisConfig{URLs: []string{"redis://:hunter2@localhost:x"}}, "want redis://"},
		{"bad database", session.RedisConfig{URLs: []string{"redis://:hunter2@localhost/x"}}, "want redis://"},
		{"list of single servers", session.RedisConfig{URLs: []string{"redis://:hunter2@a,b"}}, "want redis://"},
		{"unknown setting", session.RedisConfig{URLs: []string{"redis://:hunter2@a?x=y"}}, "want redis://"},
		{"fragment", session.RedisConfig{URLs: []string{"redis://:hunter2@a#x"}}, "want redis://"},
		{"cluster with a database", session.RedisConfig{URLs: []string{"redis+cluster://:hunter2@a/1"}}, "no databases"},
		{"sentinel without a master", session.RedisConfig{URLs: []string{"redis+sentinel://:hunter2@a"}}, "/master"},
		{"unlike addresses", session.RedisConfig{URLs: []string{"redis://:hunter2@a", "redis://:other@b"}}, "differ"},
		{"short seal key", session.RedisConfig{URLs: []string{"redis://a"}, SealKey: "hunter2"}, "openssl rand"},
		{"braces", session.RedisConfig{URLs: []string{"redis://a"}, Prefix: "{x}"}, "braces"},
		{"negative replicas", session.RedisConfig{URLs: []string{"redis://a"}, WaitReplicas: -1}, "negative"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := session.NewRedis(test.cfg)
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
