// An example for the documentation.

package jwt_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
)

func Example() {
	key, err := jwt.GenerateKey("ES256") // or jwt.ParseKey with a PEM file
	if err != nil {
		panic(err)
	}
	ring, err := jwt.NewRing(key)
	if err != nil {
		panic(err)
	}
	issuer := &jwt.Issuer{Ring: ring, Name: "wechat_auth", TTL: time.Hour}
	token, _, err := issuer.Issue(jwt.Claims{
		AppID: "wx0123456789abcdef", OpenID: "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
		SID: "SIDSIDSIDSIDSIDSIDSIDSIDSI", Phone: "13800138000",
	})
	if err != nil {
		panic(err)
	}

	verifier := &jwt.Verifier{Ring: ring, Issuer: "wechat_auth", AppIDs: []string{"wx0123456789abcdef"}, TTL: time.Hour}
	claims, err := verifier.Verify(token)
	if err != nil {
		panic(err)
	}
	fmt.Println(claims.OpenID, claims.Phone, time.Unix(claims.ExpiresAt, 0).Sub(time.Unix(claims.IssuedAt, 0)))

	verifier.AppIDs = []string{"wxfedcba9876543210"} // another mini program
	_, err = verifier.Verify(token)
	fmt.Println(errors.Is(err, jwt.ErrInvalid))
	// Output:
	// oUpF8uMuAJO_M2pxb1Q9zNjWeS6o 13800138000 1h0m0s
	// true
}
