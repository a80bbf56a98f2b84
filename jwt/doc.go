// Package jwt issues and verifies the access tokens of a mini program.
//
// A [Key] is bound to one algorithm. A [Ring] holds the keys of a site: one
// signs, all verify, and the public ones are published as a JWKS. An [Issuer]
// turns [Claims] into a token, a [Verifier] turns a token into Claims:
//
//	key, err := jwt.ParseKey("ES256", pemBytes)
//	ring, err := jwt.NewRing(key)
//	issuer := &jwt.Issuer{Ring: ring, Name: "wechat_auth", TTL: time.Hour}
//	token, claims, err := issuer.Issue(jwt.Claims{AppID: appid, OpenID: openid, SID: sid})
//	verifier := &jwt.Verifier{Ring: ring, Issuer: "wechat_auth", AppIDs: []string{appid}, TTL: time.Hour}
//	got, err := verifier.Verify(token)
//
// The signature arithmetic is golang-jwt's. Around it stands a stricter reading
// than any general library can afford, because this package only has to
// understand tokens that it made itself: one header, one JSON, one spelling.
package jwt
