package avatar

import "image"

// MaxMemory and MaxScans are the limits that the tests go up to.
const (
	MaxMemory = maxMemory
	MaxScans  = maxScans
)

// Orientation is orientation.
func Orientation(tiff []byte) int { return orientation(tiff) }

// Memory returns what making an avatar is expected to take.
func (m *Maker) Memory(picture []byte) (int64, error) {
	p, err := inspect(picture)
	return p.memory + fitted(p.width, p.height, m.longest).memory(), err
}

// Occupy takes all memory until leave is called.
func (m *Maker) Occupy() (leave func()) {
	if !m.memory.TryAcquire(maxMemory) {
		panic("in use")
	}
	return func() { m.memory.Release(maxMemory) }
}

// Scale is scale.
func Scale(img image.Image, longest, orientation int) *image.RGBA {
	size := img.Bounds().Size()
	return fitted(size.X, size.Y, longest).scale(img, orientation)
}
