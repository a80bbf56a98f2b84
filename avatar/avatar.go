// Package avatar turns a picture that somebody uploaded into a small JPEG that is safe to serve.
//
// The picture is decoded and encoded anew, so nothing of the file survives but what can be seen: no
// position and no serial number of a camera, no script behind a picture's end. What it is gets decided by
// its bytes alone, never by a name or a content type.
//
//	maker := avatar.NewMaker(512, 2)
//	jpeg, err := maker.JPEG(ctx, upload)
//
// A file of a hundred kilobytes can claim a picture of a gigabyte. So what decoding will take is worked
// out before anything is decoded, and refused or waited for.
package avatar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"

	"golang.org/x/sync/semaphore"
)

const (
	// MaxSide is the most pixels that a side of a picture may have, before and after: 16 million in all.
	MaxSide = 4096

	// maxMemory is what all pictures in work may take together, hence also the most that one may. A photo
	// of 12 million pixels fits in every usual form.
	maxMemory = 96 << 20

	// quality of the JPEG: what photo sites use for small pictures.
	quality = 85
)

var (
	// ErrFormat is returned for what is no whole JPEG, PNG, GIF, or still WebP picture.
	ErrFormat = errors.New("avatar: not a whole JPEG, PNG, GIF or WebP picture")

	// ErrTooLarge is returned for a picture that takes too much memory or work to decode.
	ErrTooLarge = errors.New("avatar: the picture is too large")
)

// Maker makes avatars. It is safe for concurrent use.
type Maker struct {
	longest int
	slots   *semaphore.Weighted // one a picture in work
	memory  *semaphore.Weighted // one a byte
}

// NewMaker returns a maker of avatars whose longer side has at most so many pixels, that works on so many
// at once. Values out of range become the nearest in it: 1 to [MaxSide], and 1 up.
func NewMaker(longest, atOnce int) *Maker {
	return &Maker{
		longest: min(max(longest, 1), MaxSide),
		slots:   semaphore.NewWeighted(int64(max(atOnce, 1))),
		memory:  semaphore.NewWeighted(maxMemory),
	}
}

// JPEG returns the picture as a baseline JPEG without metadata, turned upright, white where it was
// transparent, and never larger than it was. Of an animated GIF it takes the first frame. The same picture
// always gives the same bytes.
//
// While others are in work it waits, as long as the context allows. A decoder at work cannot be stopped,
// but what is let in takes it about a second at most. The caller bounds the size of the upload.
func (m *Maker) JPEG(ctx context.Context, picture []byte) ([]byte, error) {
	if err := m.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer m.slots.Release(1)
	p, err := inspect(picture)
	if err != nil {
		return nil, err
	}
	fit := fitted(p.width, p.height, m.longest)
	need := p.memory + fit.memory()
	if need > maxMemory {
		return nil, ErrTooLarge
	}
	if err := m.memory.Acquire(ctx, need); err != nil {
		return nil, err
	}
	defer m.memory.Release(need)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	img, err := p.decode()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if size := img.Bounds().Size(); size != image.Pt(p.width, p.height) {
		if size.X < 1 || size.Y < 1 || size.X > p.width || size.Y > p.height {
			return nil, ErrFormat
		}
		fit = fitted(size.X, size.Y, m.longest) // a GIF's frame may be smaller than its screen
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, fit.scale(img, p.orientation), &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
