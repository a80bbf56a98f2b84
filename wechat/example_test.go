// Examples for the documentation.

package wechat_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http/httptest"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

func Example() {
	fake := wechattest.New(wechattest.App{ID: "wx0123456789abcdef", Secret: "s3cret"})
	api := httptest.NewServer(fake)
	defer api.Close()
	user := fake.NewUser("wx0123456789abcdef")

	client, err := wechat.New(wechat.Config{
		AppID:    "wx0123456789abcdef",
		Secret:   "s3cret",
		BaseURLs: []string{api.URL},
	})
	if err != nil {
		panic(err)
	}
	defer client.Close()

	ctx := context.Background()
	session, err := client.Code2Session(ctx, fake.LoginCode(user)) // wx.login in the mini program
	if err != nil {
		panic(err)
	}
	phone, err := client.PhoneNumber(ctx, fake.PhoneCode(user, "13800138000"), session.OpenID) // the phone button
	if err != nil {
		panic(err)
	}
	fmt.Println(session.OpenID == user.OpenID, phone.E164())

	_, err = client.Code2Session(ctx, "made-up")
	fmt.Println(wechat.ClassOf(err) == wechat.ClassCode)
	// Output:
	// true +8613800138000
	// true
}

// The keys come from the console (开发管理, 开发设置, API安全), each with its number.
func ExampleNewSigning() {
	ours, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	privateKey := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(ours)})
	symmetricKey := make([]byte, 32)
	_, _ = rand.Read(symmetricKey)

	fake := wechattest.New(wechattest.App{ID: "wx0123456789abcdef", Secret: "s3cret"})
	fake.Secure("wx0123456789abcdef", wechattest.Security{
		KeySerial: "1a", Key: symmetricKey,
		PublicKeySerial: "2b", PublicKey: &ours.PublicKey,
	})
	api := httptest.NewServer(fake)
	defer api.Close()
	user := fake.NewUser("wx0123456789abcdef")
	platform := fake.PlatformCertificate()

	signing, err := wechat.NewSigning("1a", base64.StdEncoding.EncodeToString(symmetricKey), "2b", privateKey,
		map[string][]byte{platform.Serial: platform.PEM})
	if err != nil {
		panic(err)
	}
	client, err := wechat.New(wechat.Config{
		AppID:    "wx0123456789abcdef",
		Secret:   "s3cret",
		BaseURLs: []string{api.URL},
		Signing:  signing,
	})
	if err != nil {
		panic(err)
	}
	defer client.Close()

	phone, err := client.PhoneNumber(context.Background(), fake.PhoneCode(user, "13800138000"), user.OpenID)
	fmt.Println(phone.E164(), err)

	fake.Fail(wechattest.Phone, 1, wechattest.WrongSignature()) // somebody else answers
	_, err = client.PhoneNumber(context.Background(), fake.PhoneCode(user, "13800138000"), user.OpenID)
	fmt.Println(wechat.ClassOf(err) == wechat.ClassBadAnswer)
	// Output:
	// +8613800138000 <nil>
	// true
}
