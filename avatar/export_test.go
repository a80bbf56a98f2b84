// Access for the tests of this package.

package avatar

import (
	"image"
	"image/color"
)

// The limits that the tests go up to.
const (
	MaxSide   = maxSide
	MaxPixels = maxPixels
	MaxScans  = progressiveScans
)

// Orientation is orientation.
func Orientation(tiff []byte) int { return orientation(tiff) }

// Occupy keeps all others waiting until leave is called.
func Occupy() (leave func()) {
	working <- struct{}{}
	return func() { <-working }
}

// Scale is scale.
func Scale(img image.Image, longest, orientation int) *image.RGBA {
	size := img.Bounds().Size()
	return fitted(size.X, size.Y, longest).scale(img, orientation)
}

// ToSRGB is toSRGB for one colour.
func ToSRGB(c color.RGBA, profile []byte) color.RGBA {
	img := &image.RGBA{Pix: []byte{c.R, c.G, c.B, c.A}, Stride: 4, Rect: image.Rect(0, 0, 1, 1)}
	toSRGB(img, profile)
	return img.RGBAAt(0, 0)
}
