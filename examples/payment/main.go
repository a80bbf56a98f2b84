// A backend that sells virtual goods: it makes the order and has it signed, for
// wx.requestVirtualPayment. It listens on this machine alone, behind Caddy with wechat_auth, which
// says who asks.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"
)

var prices = map[string]int{"sword": 600, "shield": 100} // in Fen

func order(w http.ResponseWriter, r *http.Request) {
	product := r.URL.Query().Get("product")
	price, ok := prices[product]
	if !ok {
		answer(w, http.StatusNotFound, map[string]string{"error": "no such product"})
		return
	}
	// Both signatures are of this text. The mini program hands it to WeChat as it is: JSON that is
	// written anew has other bytes.
	signData, _ := json.Marshal(map[string]any{
		"offerId": os.Getenv("OFFER_ID"), "buyQuantity": 1, "env": 0, "currencyType": "CNY", "productId": product,
		"goodsPrice": price, "outTradeNo": rand.Text(), "attach": "",
	})
	status, signature, code := sign(r.Context(), r.Header.Get("X-WX-OPENID"), string(signData))
	switch status {
	case http.StatusOK:
	case http.StatusConflict: // session_key_stale: the mini program logs in and orders again
		answer(w, status, map[string]string{"error": code})
		return
	default:
		answer(w, http.StatusBadGateway, map[string]string{"error": code})
		return
	}
	mac := hmac.New(sha256.New, []byte(os.Getenv("APP_KEY")))
	mac.Write(append([]byte("requestVirtualPayment&"), signData...))
	answer(w, http.StatusOK, map[string]string{
		"mode": "short_series_goods", "signData": string(signData), "paySig": hex.EncodeToString(mac.Sum(nil)), "signature": signature,
	})
}

// sign has the sidecar sign data with the user's session_key.
func sign(ctx context.Context, openid, data string) (status int, signature, code string) {
	body, _ := json.Marshal(map[string]string{"openid": openid, "data": data})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("SERVICE_URL")+"/sign", bytes.NewReader(body)) //nolint:gosec // the operator wrote the address
	if err != nil {
		return 0, "", "internal"
	}
	req.Header.Set("Authorization", "Bearer "+os.Getenv("SERVICE_SECRET"))
	res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req) //nolint:gosec // likewise
	if err != nil {
		return 0, "", "wechat_unavailable"
	}
	defer res.Body.Close()
	var signed struct{ Signature, Error string }
	_ = json.NewDecoder(res.Body).Decode(&signed)
	return res.StatusCode, signed.Signature, signed.Error
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func main() {
	http.HandleFunc("POST /orders", order)
	server := &http.Server{Addr: os.Getenv("PAYMENT_ADDRESS"), ReadTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
