// Virtual payment, as far as its user signature goes.

package sandbox

import "net/http"

// paymentErrors holds what wx.requestVirtualPayment says by errCode.
var paymentErrors = map[int]string{
	0:      "requestVirtualPayment:ok",
	-15005: "requestVirtualPayment:fail SIGNATURE_INVALID",
	-15007: "requestVirtualPayment:fail session_key expired",
}

// postPayment does what wx.requestVirtualPayment does with signData and signature: it says whether
// the signature is one under the session_key of the user's last login code. It takes no money, and
// does not look at paySig.
func (h *Handler) postPayment(w http.ResponseWriter, r *http.Request) {
	var in struct {
		User      string `json:"user"`
		AppID     string `json:"appid"`
		SignData  string `json:"signData"`
		Signature string `json:"signature"`
	}
	if !read(w, r, &in) {
		return
	}
	u, err := h.user(in.User, in.AppID)
	if err != nil {
		fail(w, err)
		return
	}
	code := h.state.fake.CheckPayment(u, in.SignData, in.Signature)
	write(w, http.StatusOK, struct {
		ErrCode int    `json:"errCode"`
		ErrMsg  string `json:"errMsg"`
	}{code, paymentErrors[code]})
}
