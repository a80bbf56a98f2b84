//go:build unix

package session_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redistest"
)

func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	cert, files := certificate(t)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	port := freePort(t)
	redistest.Start(t, "tls-port "+port, "tls-auth-clients no",
		"tls-cert-file "+filepath.Join(files, "cert.pem"), "tls-key-file "+filepath.Join(files, "key.pem"))
	url := "rediss://127.0.0.1:" + port

	s := openRedis(t, session.RedisConfig{URLs: []string{url}, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
	if _, err := s.Learn(t.Context(), session.Lesson{User: redisUser}); err != nil {
		t.Error(err)
	}
	stranger := openRedis(t, session.RedisConfig{URLs: []string{url}})
	if _, err := stranger.Learn(t.Context(), session.Lesson{User: redisUser}); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("got %v, want an error: nobody vouches for the certificate", err)
	}
}

// certificate makes a certificate for the loopback address, and writes it to a folder.
func certificate(t *testing.T) (*x509.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, folder
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}
