// Tokens in other languages and libraries.

package wechatauth_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// verifyQuestion is the input of tests/interop/verify.mjs, verifyAnswer its output.
type verifyQuestion struct {
	JWKS      string `json:"jwks,omitempty"`
	Secret    string `json:"secret,omitempty"`
	Algorithm string `json:"algorithm"`
	Issuer    string `json:"issuer"`
	Audience  string `json:"audience"`
	Token     string `json:"token"`
}

type verifyAnswer struct {
	Claims map[string]any `json:"claims"`
	Error  string         `json:"error"`
}

// A backend in another language, with a library that many use, reads our tokens and nobody else's.
func TestBackendInJavaScriptVerifiesTokens(t *testing.T) {
	t.Parallel()
	const issuer = "https://api.example.com/auth"
	const secret = "Zq7vB2xKd9Lm4TgWc8RfYp1NhSj6Ua3E"
	type check struct {
		name     string
		question verifyQuestion
		want     map[string]any // claims
		err      string
	}
	var checks []check

	for _, algorithm := range []string{"ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256", "HS256"} {
		lines := []string{"token {", "algorithm " + algorithm, "issuer " + issuer, "}"}
		if algorithm == "HS256" {
			lines = append(lines[:3], "key "+secret, "}")
		}
		s := newSite(t, lines...)
		u := s.fake.NewUser(s.appID)
		a := s.do("POST", "/auth/phone", s.token(u), object("code", s.fake.PhoneCode(u, "13800138000")))
		want(t, a, 200, "")
		token := a.text("access_token")

		good := verifyQuestion{
			JWKS: s.url + "/auth/.well-known/jwks.json", Algorithm: algorithm,
			Issuer: issuer, Audience: s.appID, Token: token,
		}
		if algorithm == "HS256" {
			good.JWKS, good.Secret = "", secret
		}
		forged, elsewhere, other := good, good, good
		forged.Token = otherOpenID(t, token)
		elsewhere.Issuer = "https://elsewhere.example.com"
		other.Audience = "wxffffffffffffffff"
		checks = append(
			checks,
			check{algorithm + " good", good, claims(t, token), ""},
			check{algorithm + " forged", forged, nil, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"},
			check{algorithm + " other issuer", elsewhere, nil, "ERR_JWT_CLAIM_VALIDATION_FAILED"},
			check{algorithm + " other audience", other, nil, "ERR_JWT_CLAIM_VALIDATION_FAILED"},
		)
	}

	questions := make([]verifyQuestion, len(checks))
	for i, c := range checks {
		questions[i] = c.question
	}
	for i, got := range askVerify(t, questions) {
		c := checks[i]
		if got.Error != c.err {
			t.Errorf("%s: got error %q, want %q", c.name, got.Error, c.err)
			continue
		}
		if gotText, wantText := asJSON(t, got.Claims), asJSON(t, c.want); gotText != wantText {
			t.Errorf("%s: got claims %s, want %s", c.name, gotText, wantText)
		}
		if c.err == "" && (got.Claims["openid"] == "" || got.Claims["phone_number"] != "+8613800138000") {
			t.Errorf("%s: got claims %v, want openid and phone_number", c.name, got.Claims)
		}
	}
}

// askVerify installs jose into a copy of tests/interop, so that the checkout stays as it is, and
// asks all questions of one Node process.
func askVerify(t *testing.T, questions []verifyQuestion) []verifyAnswer {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("tests/interop")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	npm := command(t, dir, "npm", "ci", "--prefer-offline", "--ignore-scripts")
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci in tests/interop: %v (it needs the npm registry the first time)\n%s", err, out)
	}

	var input, stderr strings.Builder
	for _, q := range questions {
		input.WriteString(asJSON(t, q) + "\n")
	}
	node := command(t, dir, "node", "verify.mjs")
	node.Stdin, node.Stderr = strings.NewReader(input.String()), &stderr
	out, err := node.Output()
	if err != nil {
		t.Fatalf("node verify.mjs: %v\n%s", err, stderr.String())
	}
	var answers []verifyAnswer
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		var a verifyAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("verify.mjs wrote %q: %v", lines.Text(), err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(questions) {
		t.Fatalf("got %d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

// neededCommands are the Debian packages of the commands that tests run.
var neededCommands = map[string]string{
	"bash": "bash", "curl": "curl", "openssl": "openssl", "node": "nodejs", "npm": "npm", "go": "golang, or from https://go.dev/dl/",
}

// command prepares a command that ends with the test. A missing one fails the test: what is not run
// proves nothing.
func command(t *testing.T, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test runs %s, which is not installed: bash scripts/needs.sh installs it (Debian package %s)",
			name, neededCommands[name])
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	return cmd
}

// otherOpenID changes whom a token is about and leaves its signature.
func otherOpenID(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	c := claims(t, token)
	c["openid"], c["sub"] = "oSomebodyElse", "oSomebodyElse"
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(asJSON(t, c)))
	return strings.Join(parts, ".")
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
