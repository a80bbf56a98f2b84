// Colour profiles. Those of three curves and a matrix are understood,
// as cameras, phones and screens have them.
// https://www.color.org/specification/ICC.1-2022-05.pdf

package avatar

import (
	"encoding/binary"
	"image"
	"math"
	"sync"
)

// toSRGB converts a picture from the colours of its profile. A profile that cannot be read changes
// nothing.
func toSRGB(img *image.RGBA, profile []byte) {
	p, ok := readProfile(profile)
	if !ok {
		return
	}
	encode := sRGBTable()
	for pix := img.Pix; len(pix) >= 4; pix = pix[4:] {
		r, g, b := p.curves[0][pix[0]], p.curves[1][pix[1]], p.curves[2][pix[2]]
		for i, m := range p.matrix {
			pix[i] = encode[int(math.Round(unit(m[0]*r+m[1]*g+m[2]*b)*(sRGBSteps-1)))]
		}
	}
}

// unit bounds a number to 0 to 1; what is none is 0.
func unit(x float64) float64 {
	if x > 0 {
		return min(x, 1)
	}
	return 0
}

const sRGBSteps = 1 << 16

// sRGBTable encodes light.
var sRGBTable = sync.OnceValue(func() *[sRGBSteps]byte {
	table := new([sRGBSteps]byte)
	for i := range table {
		light := float64(i) / (sRGBSteps - 1)
		if light <= 0.0031308 {
			light *= 12.92
		} else {
			light = 1.055*math.Pow(light, 1/2.4) - 0.055
		}
		table[i] = byte(math.Round(255 * light))
	}
	return table
})

// profile takes red, green and blue to light by a curve each, and by the matrix to the light of
// sRGB.
type profile struct {
	curves [3][256]float64
	matrix [3][3]float64
}

// sRGBFromXYZ is for a white of D50, to which profiles are adapted.
var sRGBFromXYZ = [3][3]float64{
	{3.1338561, -1.6168667, -0.4906146},
	{-0.9787684, 1.9161415, 0.0334540},
	{0.0719453, -0.2289914, 1.4052427},
}

func readProfile(data []byte) (p profile, ok bool) {
	const header, entry = 132, 12
	if len(data) < header || string(data[16:24]) != "RGB XYZ " {
		return p, false
	}
	tags := map[string][]byte{}
	entries := data[header:]
	for range min(int(binary.BigEndian.Uint32(data[128:])), len(entries)/entry) {
		at, size := int64(binary.BigEndian.Uint32(entries[4:])), int64(binary.BigEndian.Uint32(entries[8:]))
		if at+size <= int64(len(data)) {
			tags[string(entries[:4])] = data[at : at+size]
		}
		entries = entries[entry:]
	}
	for i, colour := range []string{"r", "g", "b"} {
		column := tags[colour+"XYZ"]
		if len(column) < 20 || string(column[:4]) != "XYZ " {
			return p, false
		}
		for row, m := range sRGBFromXYZ {
			p.matrix[row][i] = m[0]*fixed(column[8:]) + m[1]*fixed(column[12:]) + m[2]*fixed(column[16:])
		}
		curve := readCurve(tags[colour+"TRC"])
		if curve == nil {
			return p, false
		}
		for v := range p.curves[i] {
			p.curves[i][v] = unit(curve(float64(v) / 255))
		}
	}
	return p, true
}

// readCurve returns nil for what is no curve.
func readCurve(tag []byte) func(float64) float64 {
	if len(tag) < 12 {
		return nil
	}
	switch string(tag[:4]) {
	case "curv":
		return readTable(tag[12:], int64(binary.BigEndian.Uint32(tag[8:])))
	case "para":
		return readFormula(tag[12:], int(binary.BigEndian.Uint16(tag[8:])))
	}
	return nil
}

// readTable reads a curve of so many points; one is an exponent, and none a straight line.
func readTable(points []byte, n int64) func(float64) float64 {
	switch {
	case n > int64(len(points)/2):
		return nil
	case n == 0:
		return func(x float64) float64 { return x }
	case n == 1:
		exponent := float64(binary.BigEndian.Uint16(points)) / 256
		return func(x float64) float64 { return math.Pow(x, exponent) }
	}
	at := func(i int) float64 { return float64(binary.BigEndian.Uint16(points[2*i:])) / 0xffff }
	return func(x float64) float64 {
		x *= float64(n - 1)
		i := min(int(x), int(n)-2)
		return at(i) + (at(i+1)-at(i))*(x-float64(i))
	}
}

// readFormula reads a parametric curve: (ax+b)^g+e from d on, and cx+f below. The lower kinds leave
// some out.
func readFormula(params []byte, kind int) func(float64) float64 {
	count, ok := map[int]int{0: 1, 1: 3, 2: 4, 3: 5, 4: 7}[kind]
	if !ok || len(params) < 4*count {
		return nil
	}
	v := [7]float64{1: 1}
	for i := range count {
		v[i] = fixed(params[4*i:])
	}
	g, a, b, c, d, e, f := v[0], v[1], v[2], v[3], v[4], v[5], v[6]
	switch kind {
	case 1:
		d = -b / a
	case 2:
		c, d, e, f = 0, -b/a, c, c
	}
	return func(x float64) float64 {
		if x >= d {
			return math.Pow(a*x+b, g) + e
		}
		return c*x + f
	}
}

// fixed reads a number of 16 and 16 bits.
func fixed(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / (1 << 16) }
