// Package avatar turns an uploaded picture into a small JPEG that is safe to serve.
//
// The picture is decoded and encoded anew, so only its pixels survive: no position and no serial
// number of a camera, no script behind a picture's end. What it is gets decided by its bytes alone,
// never by a name or a content type.
//
// A file of a hundred kilobytes can claim a picture of a gigabyte. So the sides and the pixels that
// its header states are bounded before anything is decoded, and one picture is decoded at a time.
package avatar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"runtime"
)

const (
	// maxSide and maxPixels let a photo of 12 million pixels in. The worst file within them is
	// measured by TestWorstFiles.
	maxSide   = 4096
	maxPixels = 4096 * 3072

	// What a picture with so many pixels, or of so large a file, took is freed at once: else the
	// next one would come on top of it.
	largePixels = 1 << 20
	largeFile   = 1 << 17

	// Passes over a JPEG: a progressive one has ten as a rule, another one for each component. One
	// can cost the decoder a visit to all blocks, and the file a few bytes.
	maxScans         = 4
	progressiveScans = 30

	// quality of the JPEG: what photo sites use for small pictures.
	quality = 85
)

var (
	// ErrFormat is returned for anything but a whole JPEG, PNG, GIF or WebP picture.
	ErrFormat = errors.New("avatar: not a whole JPEG, PNG, GIF or WebP picture")

	// ErrTooLarge is returned for a picture that takes too much memory or work to decode.
	ErrTooLarge = errors.New("avatar: the picture is too large")
)

// working holds the one picture that the process decodes.
var working = make(chan struct{}, 1)

// JPEG returns the picture as a baseline JPEG in sRGB without metadata, turned upright, white where
// it was transparent, with at most so many pixels on its longer side, and never larger than it was.
// Of an animation it takes the first frame. The same picture always gives the same bytes.
//
// While another picture is in work it waits, as long as the context allows. The caller bounds the
// size of the upload.
func JPEG(ctx context.Context, upload []byte, longest int) ([]byte, error) {
	select {
	case working <- struct{}{}:
		defer func() { <-working }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p, err := read(upload)
	if err != nil {
		return nil, err
	}
	if p.pixels > largePixels || len(upload) > largeFile {
		defer runtime.GC()
	}
	img, err := p.decode()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	size := img.Bounds().Size()
	if err := checkSize(size.X, size.Y); err != nil {
		return nil, err
	}
	small := fitted(size.X, size.Y, longest).scale(img, p.orientation)
	toSRGB(small, p.profile)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, small, &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func checkSize(width, height int) error {
	switch {
	case width < 1 || height < 1:
		return ErrFormat
	case width > maxSide || height > maxSide || width*height > maxPixels:
		return ErrTooLarge
	}
	return nil
}
