package wechat_test

import (
	"context"
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

	_, err = client.Code2Session(ctx, "made up")
	fmt.Println(wechat.ClassOf(err))
	// Output:
	// true +8613800138000
	// code
}
