// Scaling, and turning upright.

package avatar

import (
	"image"
	"image/draw"
)

// fit holds the sizes of a picture that is made smaller.
type fit struct {
	width, height       int // before
	outWidth, outHeight int // after
}

// fitted keeps the proportions and never makes a picture larger, nor a side less than a pixel.
func fitted(width, height, longest int) fit {
	f := fit{width, height, width, height}
	if side := max(width, height); side > longest {
		f.outWidth = max(1, (width*longest+side/2)/side)
		f.outHeight = max(1, (height*longest+side/2)/side)
	}
	return f
}

// scale returns the picture, smaller, on white, and turned upright. Each pixel is the mean of the
// area that it covers, in whole numbers: so it is the same on every machine, there is no ringing at
// edges, and besides the result only a row is in memory.
func (f fit) scale(src image.Image, orientation int) *image.RGBA {
	out := newCanvas(f.outWidth, f.outHeight, orientation)
	row := image.NewRGBA(image.Rect(0, 0, f.width, 1))
	sums := make([]uint64, 3*f.outWidth)   // of the row of the result that is in work
	across := make([]uint64, 3*f.outWidth) // of one row of the picture

	// Think of the picture stretched by outHeight: then a row of it is outHeight high, one of the
	// result height, and each of the former lies in one or two of the latter.
	y, left := 0, f.height // of the result's row in work: its number, and how much of it is still to come
	for from := range f.height {
		draw.Draw(row, row.Rect, image.White, image.Point{}, draw.Src)
		draw.Draw(row, row.Rect, src, src.Bounds().Min.Add(image.Pt(0, from)), draw.Over)
		f.sumAcross(across, row.Pix)
		part := min(f.outHeight, left)
		add(sums, across, part)
		left -= part
		if left > 0 {
			continue
		}
		out.setRow(y, sums, uint64(f.width)*uint64(f.height))
		clear(sums)
		y, left = y+1, f.height-(f.outHeight-part)
		add(sums, across, f.outHeight-part)
	}
	return out.img
}

// sumAcross sums a row's pixels up, each by how much of it lies in a pixel of the result.
func (f fit) sumAcross(sums []uint64, row []byte) {
	clear(sums)
	to, left := 0, f.width
	for ; len(row) >= 4; row = row[4:] {
		part := min(f.outWidth, left)
		for c := range 3 {
			sums[to+c] += uint64(row[c]) * uint64(part)
		}
		left -= part
		if left > 0 {
			continue
		}
		rest := f.outWidth - part
		to, left = to+3, f.width-rest
		if rest > 0 {
			for c := range 3 {
				sums[to+c] += uint64(row[c]) * uint64(rest)
			}
		}
	}
}

func add(sums, row []uint64, times int) {
	if times == 0 {
		return
	}
	for i, s := range row {
		sums[i] += s * uint64(times)
	}
}

// canvas takes the rows of a picture and holds it upright.
type canvas struct {
	img *image.RGBA

	// Where the pixel (0, 0) of the picture as stored lies in img.Pix, and how far it is from one
	// to the next, across and down.
	origin, right, down int
}

// newCanvas is for a picture of this size and orientation.
func newCanvas(width, height, orientation int) canvas {
	turned := orientation >= 5 // its rows are columns
	w, h := width, height
	if turned {
		w, h = height, width
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	c := canvas{img: img, right: 4, down: img.Stride}
	if turned {
		c.right, c.down = c.down, c.right
	}
	// Rows 0 and columns 0 can each lie at the far end.
	switch orientation {
	case 2, 3, 7, 8:
		c.origin += (width - 1) * c.right
		c.right = -c.right
	}
	switch orientation {
	case 3, 4, 6, 7:
		c.origin += (height - 1) * c.down
		c.down = -c.down
	}
	return c
}

// setRow writes the row with these sums of so many parts.
func (c canvas) setRow(y int, sums []uint64, parts uint64) {
	at := c.origin + y*c.down
	for ; len(sums) >= 3; sums = sums[3:] {
		pixel := c.img.Pix[at : at+4 : at+4]
		for i := range 3 {
			pixel[i] = byte((sums[i] + parts/2) / parts)
		}
		pixel[3] = 0xff
		at += c.right
	}
}
