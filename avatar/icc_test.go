// Colour profiles. The values wanted are those of Little CMS: `transicc -i <profile> -o *sRGB -t 1
// -n -b`, without black point compensation.

package avatar_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"math"
	"slices"
	"testing"

	"github.com/caddy-wechat/wechatauth/avatar"
)

// Apple's Display P3 as in photos of an iPhone, and Adobe RGB (1998).
var (
	displayP3 = rgbProfile([3][3]float64{{0.51512, 0.24120, -0.00105}, {0.29198, 0.69225, 0.04189}, {0.15710, 0.06657, 0.78407}},
		formula(3, 2.4, 1/1.055, 0.055/1.055, 1/12.92, 0.04045))
	adobeRGB = rgbProfile([3][3]float64{{0.60974, 0.31111, 0.01947}, {0.20528, 0.62567, 0.06087}, {0.14919, 0.06322, 0.74457}},
		[]byte("curv\x00\x00\x00\x00\x00\x00\x00\x01\x02\x33"))
	sRGBColumns = [3][3]float64{{0.43607, 0.22249, 0.01392}, {0.38515, 0.71687, 0.09708}, {0.14307, 0.06061, 0.71410}}
)

// rgbProfile makes a profile of the columns of red, green and blue, and one curve.
func rgbProfile(columns [3][3]float64, curve []byte) []byte {
	header := make([]byte, 128)
	copy(header[8:], "\x04\x30\x00\x00mntrRGB XYZ ")
	copy(header[36:], "acsp")
	copy(header[68:], "\x00\x00\xf6\xd6\x00\x01\x00\x00\x00\x00\xd3\x2d") // D50
	const tags = 6
	out := binary.BigEndian.AppendUint32(header, tags)
	at := uint32(len(out) + 12*tags)
	var data []byte
	entry := func(name string, tag []byte, where uint32) {
		out = append(out, name...)
		out = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(out, where), uint32(len(tag)))
	}
	for i, name := range []string{"rXYZ", "gXYZ", "bXYZ"} {
		tag := []byte("XYZ \x00\x00\x00\x00")
		for _, v := range columns[i] {
			tag = appendFixed(tag, v)
		}
		entry(name, tag, at+uint32(len(data)))
		data = append(data, tag...)
	}
	for _, name := range []string{"rTRC", "gTRC", "bTRC"} {
		entry(name, curve, at+uint32(len(data)))
	}
	out = slices.Concat(out, data, curve, make([]byte, -len(curve)&3))
	binary.BigEndian.PutUint32(out, uint32(len(out)))
	return out
}

func appendFixed(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(int32(math.Round(v*65536))))
}

// formula is a parametric curve.
func formula(kind uint16, params ...float64) []byte {
	out := binary.BigEndian.AppendUint16([]byte("para\x00\x00\x00\x00"), kind)
	out = append(out, 0, 0)
	for _, v := range params {
		out = appendFixed(out, v)
	}
	return out
}

// table is a curve of points.
func table(n int, f func(float64) float64) []byte {
	out := binary.BigEndian.AppendUint32([]byte("curv\x00\x00\x00\x00"), uint32(n))
	for i := range n {
		out = binary.BigEndian.AppendUint16(out, uint16(math.Round(65535*f(float64(i)/float64(n-1)))))
	}
	return out
}

// withProfile puts a profile into a JPEG, in segments of 200 bytes that are out of order.
func withProfile(picture, profile []byte) []byte {
	parts := slices.Collect(slices.Chunk(profile, 200))
	if len(parts) > 255 {
		parts = [][]byte{profile}
	}
	var segments []byte
	for i, part := range slices.Backward(parts) {
		segments = append(segments, segment(0xe2, slices.Concat([]byte("ICC_PROFILE\x00"), []byte{byte(i + 1), byte(len(parts))}, part)...)...)
	}
	return insert(picture, 2, segments)
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	encoded := func(x float64) float64 { // sRGB to light
		if x < 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	tests := []struct {
		name    string
		profile []byte
		want    [6]color.RGBA // of the colours below
	}{
		{"Display P3", displayP3, [6]color.RGBA{{255, 0, 0, 255}, {209, 147, 91, 255}, {17, 61, 93, 255}, {128, 128, 128, 255}, {255, 255, 255, 255}, {0, 0, 0, 255}}},
		{"Adobe RGB", adobeRGB, [6]color.RGBA{{255, 48, 29, 255}, {217, 151, 97, 255}, {0, 57, 91, 255}, {129, 129, 129, 255}, {255, 255, 255, 255}, {0, 0, 0, 255}}},
		{"sRGB, 1024 points", rgbProfile(sRGBColumns, table(1024, encoded)), [6]color.RGBA{{234, 51, 35, 255}, {200, 150, 100, 255}, {30, 60, 90, 255}, {128, 128, 128, 255}, {255, 255, 255, 255}, {0, 0, 0, 255}}},
		{"linear", rgbProfile(sRGBColumns, table(0, nil)), [6]color.RGBA{{246, 124, 104, 255}, {229, 202, 168, 255}, {96, 133, 160, 255}, {188, 188, 188, 255}, {255, 255, 255, 255}, {0, 0, 0, 255}}},
		{"formula 0", rgbProfile(sRGBColumns, formula(0, 1.8)), [6]color.RGBA{{238, 66, 47, 255}, {210, 167, 119, 255}, {40, 77, 109, 255}, {146, 146, 146, 255}, {255, 255, 255, 255}, {0, 0, 0, 255}}},
		{"formula 1", rgbProfile(sRGBColumns, formula(1, 2, 1.25, -0.25)), [6]color.RGBA{{232, 0, 0, 255}, {193, 133, 68, 255}, {0, 6, 54, 255}, {105, 105, 105, 255}, {255, 255, 255, 255}, {0, 0, 0, 255}}},
		{"formula 2", rgbProfile(sRGBColumns, formula(2, 2, 0.9, 0.05, 0.0975)), [6]color.RGBA{{239, 108, 100, 255}, {214, 176, 139, 255}, {98, 113, 133, 255}, {160, 160, 160, 255}, {255, 255, 255, 255}, {89, 89, 89, 255}}},
		{"formula 4", rgbProfile(sRGBColumns, formula(4, 2.4, 0.9, 0.05, 0.5, 0.1, 0.05, 0.01)), [6]color.RGBA{{228, 80, 72, 255}, {197, 153, 112, 255}, {70, 85, 105, 255}, {135, 135, 135, 255}, {247, 247, 248, 255}, {25, 25, 25, 255}}},
	}
	for _, tt := range tests {
		for i, c := range []color.RGBA{{234, 51, 35, 255}, {200, 150, 100, 255}, {30, 60, 90, 255}, {128, 128, 128, 255}, {255, 255, 255, 255}, {0, 0, 0, 255}} {
			if got := avatar.ToSRGB(c, tt.profile); !near(got, tt.want[i], 1) {
				t.Errorf("%s, %v: got %v, want %v", tt.name, c, got, tt.want[i])
			}
		}
	}
}

// A photo of a red thing, by an iPhone: its numbers are those of a smaller red in sRGB.
func TestRedOfAnIPhoneStaysRed(t *testing.T) {
	t.Parallel()
	img := image.NewNRGBA(image.Rect(0, 0, 40, 40))
	for i := range img.Pix {
		img.Pix[i] = []byte{234, 51, 35, 255}[i%4]
	}
	still := webpFile(t, "gopher-doc.1bpp.lossless")
	black := rgbProfile([3][3]float64{}, table(0, nil))
	// No encoder of WebP is at hand: a profile that makes everything black shows that it is read.
	red, dark := color.RGBA{255, 0, 0, 255}, color.RGBA{0, 0, 0, 255}
	for name, tt := range map[string]struct {
		picture []byte
		want    color.RGBA
	}{
		"JPEG":                 {withProfile(jpegOf(t, img), displayP3), red},
		"JPEG, Exif before":    {insert(withProfile(jpegOf(t, img), displayP3), 2, segment(0xe1, exif(binary.BigEndian, 1)...)), red},
		"JPEG, text between":   {insert(withProfile(jpegOf(t, img), displayP3), 2, segment(0xfe), []byte("text")), red},
		"PNG":                  {insert(pngOf(t, img), afterIHDR, iccp(t, displayP3)), red},
		"WebP":                 {riff(vp8x(1<<5, 75, 100), riffChunk("ICCP", black), still[12:]), dark},
		"PNG without":          {pngOf(t, img), color.RGBA{234, 51, 35, 255}},
		"JPEG, half a profile": {withProfile(jpegOf(t, img), displayP3[:250]), color.RGBA{234, 51, 35, 255}},
		"PNG, half a stream":   {insert(pngOf(t, img), afterIHDR, chunk("iCCP", iccp(t, displayP3)[8:100])), color.RGBA{234, 51, 35, 255}},
		"PNG, a bomb":          {insert(pngOf(t, img), afterIHDR, iccp(t, make([]byte, 8<<20))), color.RGBA{234, 51, 35, 255}},
	} {
		if got := made(t, 16, tt.picture).At(4, 4); !near(got, tt.want, 4) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func iccp(t testing.TB, profile []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, err := z.Write(profile)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return chunk("iCCP", slices.Concat([]byte("Display P3\x00\x00"), packed.Bytes()))
}

// What cannot be read changes nothing: neither a profile of another kind, nor a broken or a hostile
// one.
func TestProfilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	with := func(at int, value string) []byte {
		return slices.Replace(slices.Clone(displayP3), at, at+len(value), []byte(value)...)
	}
	const entries, size = 132, 12
	columns := [3][3]float64{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}
	c := color.RGBA{200, 150, 100, 255}
	for name, profile := range map[string][]byte{
		"none": nil, "gray": with(16, "GRAY"), "CMYK": with(16, "CMYK"), "Lab": with(20, "Lab "), "no tags": with(128, "\x00\x00\x00\x00"),
		"no red": with(entries, "xXYZ"), "no curve": with(entries+5*size, "xTRC"), "column far away": with(entries+4, "\xff\xff\xff\xff"),
		"long column": with(entries+8, "\xff\xff\xff\xff"), "short column": with(entries+8, "\x00\x00\x00\x08"), "column is no number": with(entries+6*size, "text"),
		"curve is none": rgbProfile(columns, []byte("text\x00\x00\x00\x00\x00\x00\x00\x00")), "empty curve": rgbProfile(columns, nil),
		"too many points": rgbProfile(columns, []byte("curv\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00")), "one point of none": rgbProfile(columns, []byte("curv\x00\x00\x00\x00\x00\x00\x00\x01")),
		"formula 5": rgbProfile(columns, formula(5, 1, 1, 1, 1, 1, 1, 1)), "formula too short": rgbProfile(columns, formula(4, 1)),
	} {
		if got := avatar.ToSRGB(c, profile); got != c {
			t.Errorf("%s: got %v, want %v", name, got, c)
		}
	}
	for name, profile := range map[string][]byte{
		"not a number": rgbProfile(columns, formula(1, 0.5, 0, 0)), "negative": rgbProfile(columns, formula(3, -1, -1, -1, -1, 0.5)),
		"more tags than bytes": with(128, "\xff\xff\xff\xff"), "large": rgbProfile([3][3]float64{{32767, 32767, 32767}, {-32768, 0, 0}, {0, 0, 1}}, table(2, func(x float64) float64 { return x })),
	} {
		avatar.ToSRGB(c, profile)
		_ = name
	}
}
