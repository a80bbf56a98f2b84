// An example for the documentation.

package avatar_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"

	"github.com/caddy-wechat/wechatauth/avatar"
)

func ExampleJPEG() {
	var upload bytes.Buffer
	if err := png.Encode(&upload, image.NewRGBA(image.Rect(0, 0, 1200, 800))); err != nil {
		panic(err)
	}
	picture, err := avatar.JPEG(context.Background(), upload.Bytes(), 300)
	if err != nil {
		panic(err)
	}
	size, format, err := image.DecodeConfig(bytes.NewReader(picture))
	fmt.Println(format, size.Width, size.Height, err)

	_, err = avatar.JPEG(context.Background(), []byte("<script>"), 300)
	fmt.Println(errors.Is(err, avatar.ErrFormat))
	// Output:
	// jpeg 300 200 <nil>
	// true
}
