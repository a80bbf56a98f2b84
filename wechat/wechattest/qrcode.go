// getUnlimitedQRCode: the call whose answer is a picture.

package wechattest

import (
	"bytes"
	"image"
	"image/jpeg"
	"regexp"
)

// scenePattern has what the scene of a code may hold.
var scenePattern = regexp.MustCompile("^[0-9A-Za-z!#$&'()*+,/:;=?@._~-]{1,32}$")

// qrCode answers getUnlimitedQRCode: a picture, or JSON for an error, see
// https://developers.weixin.qq.com/miniprogram/dev/server/API/qrcode-link/qr-code/api_getunlimitedqrcode.html
//
// The picture is noise, and of some 200 KB as real ones can be.
func (s *Server) qrCode(q *request) answer {
	if refusal := s.wantJSON(q); refusal != nil {
		return *refusal
	}
	if _, refusal := s.checkToken(q); refusal != nil {
		return *refusal
	}
	if scene, ok := q.text("scene"); !ok || !scenePattern.MatchString(scene) {
		return s.fail(errInvalidScene)
	}
	return answer{picture: qrPicture()}
}

func qrPicture() []byte {
	const side = 430
	img := image.NewGray(image.Rect(0, 0, side, side))
	copy(img.Pix, random(len(img.Pix)))
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 100}); err != nil {
		panic("wechattest: " + err.Error())
	}
	return b.Bytes()
}
