//go:build unix

// Redis over TLS.

package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// issue returns a certificate and its key in PEM. A nil authority signs for itself.
func (a *authority) issue(t *testing.T, template *x509.Certificate) (certificate, private []byte, issued *authority) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.BasicConstraintsValid = true
	template.Subject.CommonName = template.SerialNumber.String()
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	return certificate, private, &authority{cert, key, certificate}
}

// startTLS runs a server with a certificate of a private authority for some address.
func startTLS(t *testing.T, ca *authority, address net.IP, config ...string) (url string) {
	t.Helper()
	cert, key, _ := ca.issue(t, &x509.Certificate{IPAddresses: []net.IP{address}})
	folder := t.TempDir()
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key, "ca.pem": ca.pem} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port := testkit.FreePort(t)
	redistest.Start(t, append(config, "tls-port "+port, "tls-cert-file "+filepath.Join(folder, "cert.pem"),
		"tls-key-file "+filepath.Join(folder, "key.pem"), "tls-ca-cert-file "+filepath.Join(folder, "ca.pem"))...)
	return "rediss://127.0.0.1:" + port
}

func TestTLSWithAPrivateAuthority(t *testing.T) {
	t.Parallel()
	loopback := net.IPv4(127, 0, 0, 1)
	_, _, ca := (*authority)(nil).issue(t, &x509.Certificate{IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	_, _, stranger := (*authority)(nil).issue(t, &x509.Certificate{IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	cert, key, _ := ca.issue(t, &x509.Certificate{})
	other, otherKey, _ := stranger.issue(t, &x509.Certificate{})
	private := startTLS(t, ca, loopback, "tls-auth-clients no")
	asking := startTLS(t, ca, loopback, "tls-auth-clients yes")
	elsewhere := startTLS(t, ca, net.IPv4(10, 0, 0, 1), "tls-auth-clients no")
	plain := redistest.Start(t).Addr
	const either redisstore.Cause = "either"
	for _, test := range []struct {
		name  string
		cfg   redisstore.Config
		cause redisstore.Cause // none if it works
		says  string
	}{
		{"ca", redisstore.Config{URLs: []string{private}, CA: ca.pem}, "", ""},
		{"ca and certificate", redisstore.Config{URLs: []string{asking}, CA: ca.pem, Certificate: cert, Key: key}, "", ""},
		{"no ca", redisstore.Config{URLs: []string{private}}, redisstore.TLSFailed, "name its authority with ca"},
		{"another ca", redisstore.Config{URLs: []string{private}, CA: stranger.pem}, redisstore.TLSFailed, "name its authority with ca"},
		// The alert of the server may come too late.
		{"no certificate", redisstore.Config{URLs: []string{asking}, CA: ca.pem}, either, "rediss://"},
		{
			"a stranger's certificate",
			redisstore.Config{URLs: []string{asking}, CA: ca.pem, Certificate: other, Key: otherKey},
			either, "rediss://",
		},
		{"a certificate of another host", redisstore.Config{URLs: []string{elsewhere}, CA: ca.pem}, redisstore.TLSFailed, "names in its certificate"},
		{"no TLS there", redisstore.Config{URLs: []string{"rediss://" + plain}, CA: ca.pem}, redisstore.Unreachable, "rediss://"},
		{"only TLS there", redisstore.Config{URLs: []string{"redis" + strings.TrimPrefix(private, "rediss")}}, redisstore.Unreachable, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, test.cfg)
			_, err := s.Account(t.Context(), user.Tag())
			if test.cause == "" {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			if test.cause == either {
				test.cause = ""
			}
			wantUnavailable(t, "Account", err, test.cause)
			if err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q, want a text with %q", err, test.says)
			}
		})
	}
}
