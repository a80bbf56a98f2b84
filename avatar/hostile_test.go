// Hostile files and broken ones.

package avatar_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"image"
	"image/jpeg"
	"slices"
	"testing"

	"github.com/caddy-wechat/wechatauth/avatar"
)

// refused are files that must not be decoded, with the error of each.
func refused(t testing.TB) map[string]struct {
	file []byte
	want error
} {
	t.Helper()
	format, large := avatar.ErrFormat, avatar.ErrTooLarge
	jpg, png, gif := jpegOf(t, scene(40, 30)), pngOf(t, scene(40, 30)), gifOf(t, scene(40, 30))
	lossy := webpFile(t, "blue-purple-pink.lossy")
	flat := []component{{1, 0x11, 0}, {2, 0x11, 0}, {3, 0x11, 0}}
	ycbcr := func(width, height int, progressive bool, scans int, before []byte) []byte {
		return flatJPEG(width, height, progressive, scans, before, flat...)
	}
	size := func(picture []byte, at, bytes int, order binary.ByteOrder, width, height int) []byte {
		out := slices.Clone(picture)
		if bytes == 4 {
			order.PutUint32(out[at:], uint32(width))
			order.PutUint32(out[at+4:], uint32(height))
		} else {
			order.PutUint16(out[at:], uint16(width))
			order.PutUint16(out[at+2:], uint16(height))
		}
		return out
	}
	large4096 := func(picture []byte) []byte { // a JPEG of 64 by 64
		return bytes.Replace(picture, []byte{8, 0, 64, 0, 64, 3}, []byte{8, 16, 0, 16, 0, 3}, 1)
	}
	sof := bytes.Index(jpg, []byte{0xff, 0xc0}) + 5 // the height comes first
	ihdr := 16
	blank := func(width, height int) []byte {
		return slices.Concat(gifHead(width, height, 0, 0, width, height, 0), []byte{2, 1, 0x2c, 0, 0x3b})
	}
	return map[string]struct {
		file []byte
		want error
	}{
		"nothing":                 {nil, format},
		"a byte":                  {[]byte{0xff}, format},
		"text":                    {[]byte("hello"), format},
		"SVG":                     {[]byte(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), format},
		"HTML":                    {[]byte("<!DOCTYPE html><script>alert(1)</script>"), format},
		"HTML before a JPEG":      {append([]byte("<script>alert(1)</script>"), jpg...), format},
		"PDF":                     {[]byte("%PDF-1.7\n1 0 obj\n"), format},
		"PDF with a JPEG in it":   {slices.Concat([]byte("%PDF-1.7\nstream\n"), jpg, []byte("endstream")), format},
		"TIFF":                    {append([]byte("II*\x00\x08\x00\x00\x00"), make([]byte, 100)...), format},
		"BMP":                     {append([]byte("BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00"), make([]byte, 100)...), format},
		"ICO":                     {append([]byte("\x00\x00\x01\x00\x01\x00"), png...), format},
		"AVIF":                    {append([]byte("\x00\x00\x00\x20ftypavif\x00\x00\x00\x00"), make([]byte, 100)...), format},
		"HEIC":                    {append([]byte("\x00\x00\x00\x20ftypheic\x00\x00\x00\x00"), make([]byte, 100)...), format},
		"WAV":                     {append([]byte("RIFF\x40\x00\x00\x00WAVE"), make([]byte, 100)...), format},
		"zip":                     {append([]byte("PK\x03\x04"), make([]byte, 100)...), format},
		"gzip of a PNG":           {[]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"), format},
		"magic only, JPEG":        {[]byte("\xff\xd8\xff"), format},
		"magic only, PNG":         {[]byte(pngSignature), format},
		"magic only, GIF":         {[]byte("GIF89a"), format},
		"magic only, WebP":        {[]byte("RIFF\x04\x00\x00\x00WEBP"), format},
		"GIF of a later kind":     {append([]byte("GIF90a"), gif[6:]...), format},
		"bomb: PNG of 900 MB":     {size(zeroPNG(t, 1000, 1000, 8, 2, false), ihdr, 4, binary.BigEndian, 30000, 30000), large},
		"bomb: PNG header":        {size(png, ihdr, 4, binary.BigEndian, 1<<31-1, 1<<31-1), large},
		"bomb: PNG, 2^32":         {size(png, ihdr, 4, binary.BigEndian, 1<<32-1, 1<<32-1), large},
		"bomb: PNG, a line":       {size(png, ihdr, 4, binary.BigEndian, 65535, 1), large},
		"bomb: PNG, one too many": {zeroPNG(t, 4097, 1, 8, 0, false), large},
		"bomb: PNG, 16 bits":      {size(zeroPNG(t, 64, 64, 16, 6, false), ihdr, 4, binary.BigEndian, 4096, 4096), large},
		"bomb: PNG, interlaced":   {size(zeroPNG(t, 64, 64, 8, 6, true), ihdr, 4, binary.BigEndian, 4096, 4096), large},
		"bomb: PNG, endless data": {slices.Concat([]byte(pngSignature), png[8:afterIHDR], chunk("IDAT", zeros(t, 4<<20)), chunk("IEND", nil)), format},
		"bomb: JPEG":              {size(jpg, sof, 2, binary.BigEndian, 65535, 65535), large},
		"bomb: JPEG, a column":    {size(jpg, sof, 2, binary.BigEndian, 65535, 1), large},
		"bomb: JPEG, progressive": {large4096(ycbcr(64, 64, true, 1, nil)), large},
		"bomb: JPEG, RGB":         {large4096(ycbcr(64, 64, false, 1, segment(0xee, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00")...))), large},
		"bomb: JPEG, many scans":  {ycbcr(8, 8, true, avatar.MaxScans+1, nil), large},
		"bomb: JPEG, more scans":  {ycbcr(64, 64, true, 5000, nil), large},
		"bomb: JPEG, scans again": {ycbcr(64, 64, false, 5, nil), large},
		"bomb: GIF":               {blank(65535, 65535), large},
		"bomb: GIF, screen only":  {size(gif, 6, 2, binary.LittleEndian, 65535, 65535), large},
		"bomb: WebP, lossless":    {riff(riffChunk("VP8L", vp8l(16384, 16384).out)), large},
		"bomb: WebP, lossy":       {size(lossy, 26, 2, binary.LittleEndian, 16383, 16383), large},
		"bomb: WebP, canvas":      {riff(vp8x(1<<4, 1<<24, 127), riffChunk("ALPH", []byte{0})), format},
		"bomb: WebP, alpha":       {riff(vp8x(1<<4, 40000, 40000), riffChunk("ALPH", []byte{0}), lossy[12:]), large},
		"WebP, too many trees":    {treesWebP(256, 256, 2601), format},
		"WebP, length of a chunk": {func() []byte {
			out := slices.Clone(lossy)
			binary.LittleEndian.PutUint32(out[16:], 1<<31)
			return out
		}(), format},
		"WebP, length of the file":  {size(lossy, 4, 4, binary.LittleEndian, 1<<32-1, 1<<31), format},
		"WebP, no picture":          {riff(vp8x(0, 150, 100)), format},
		"WebP, alpha twice":         {riff(vp8x(1<<4, 2, 2), riffChunk("ALPH", make([]byte, 5)), riffChunk("ALPH", make([]byte, 5)), lossy[12:]), format},
		"WebP, no width":            {size(lossy, 26, 2, binary.LittleEndian, 0, 100), format},
		"JPEG, no height":           {size(jpg, sof, 2, binary.BigEndian, 0, 40), format},
		"JPEG, no width":            {size(jpg, sof, 2, binary.BigEndian, 30, 0), format},
		"JPEG, no scan":             {ycbcr(8, 8, false, 0, nil), format},
		"JPEG, two frames":          {insert(jpg, 2, jpg[sof-5:sof+14]), format},
		"JPEG, lossless":            {bytes.Replace(jpg, []byte{0xff, 0xc0}, []byte{0xff, 0xc3}, 1), format},
		"JPEG, arithmetic":          {bytes.Replace(jpg, []byte{0xff, 0xc0}, []byte{0xff, 0xc9}, 1), format},
		"JPEG, 12 bits":             {slices.Replace(slices.Clone(jpg), sof-1, sof, 12), format},
		"JPEG, two components":      {flatJPEG(8, 8, false, 1, nil, flat[:2]...), format},
		"JPEG, sampling of 0":       {flatJPEG(8, 8, false, 1, nil, component{1, 0, 0}), format},
		"JPEG, sampling of 5":       {flatJPEG(8, 8, false, 1, nil, component{1, 0x15, 0}), format},
		"JPEG, four without Adobe":  {flatJPEG(8, 8, false, 1, nil, append(flat, component{4, 0x11, 0})...), format},
		"JPEG, short segment":       {insert(jpg, 2, []byte{0xff, 0xe1, 0, 1}), format},
		"JPEG, long segment":        {insert(jpg, 2, []byte{0xff, 0xe1, 0xff, 0xff}), format},
		"JPEG, markers only":        {bytes.Repeat([]byte{0xff, 0xd8}, 1000), format},
		"JPEG, fill only":           {append([]byte{0xff, 0xd8}, bytes.Repeat([]byte{0xff}, 100000)...), format},
		"PNG, no width":             {size(png, ihdr, 4, binary.BigEndian, 0, 30), format},
		"PNG, two IHDR":             {insert(png, afterIHDR, png[8:afterIHDR]), format},
		"PNG, wrong checksum":       {slices.Replace(slices.Clone(png), afterIHDR-1, afterIHDR, png[afterIHDR-1]^1), format},
		"PNG, length of a chunk":    {insert(png, afterIHDR, []byte("\xff\xff\xff\xfftEXt")), format},
		"PNG, no data":              {slices.Concat(png[:afterIHDR], chunk("IEND", nil)), format},
		"PNG, palette without one":  {slices.Concat([]byte(pngSignature), chunk("IHDR", []byte{0, 0, 0, 8, 0, 0, 0, 8, 8, 3, 0, 0, 0}), chunk("IDAT", zeros(t, 72)), chunk("IEND", nil)), format},
		"PNG, odd depth":            {slices.Concat([]byte(pngSignature), chunk("IHDR", []byte{0, 0, 0, 8, 0, 0, 0, 8, 3, 0, 0, 0, 0}), chunk("IEND", nil)), format},
		"GIF, no size":              {blank(0, 0), format},
		"GIF, empty frame":          {slices.Concat(gifHead(8, 8, 0, 0, 0, 8, 0), []byte{2, 2, 0x4c, 1, 0, 0x3b}), format},
		"GIF, frame off the screen": {slices.Concat(gifHead(8, 8, 4, 4, 8, 8, 0), []byte{2, 1, 0x2c, 0, 0x3b}), format},
		"GIF, no frame":             {slices.Concat(gif[:slices.Index(gif, 0x2c)], []byte{0x3b}), format},
		"GIF, too little data":      {blank(4096, 3072), format},
	}
}

// zeros is a zlib stream of so many zeros.
func zeros(t testing.TB, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	if _, err := z.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Threats: T93, T94.
func TestHostileFilesAreRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range refused(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, err := avatar.JPEG(t.Context(), tt.file, 512); !errors.Is(err, tt.want) {
				t.Errorf("got %d bytes, %v, want %v", len(out), err, tt.want)
			}
		})
	}
}

// What a picture carries besides its pixels is gone.
// Threats: T95, T96.
func TestNothingButPixelsSurvives(t *testing.T) {
	t.Parallel()
	const script = "<script>alert(document.domain)</script>"
	jpg, png := jpegOf(t, scene(40, 30)), pngOf(t, scene(40, 30))
	lossless := webpFile(t, "gopher-doc.1bpp.lossless")
	gps := slices.Concat(exif(binary.BigEndian, 1), []byte("GPS N 39 54 "+script))
	tests := map[string][]byte{
		"JPEG, Exif with GPS":       insert(jpg, 2, segment(0xe1, gps...)),
		"JPEG, comment":             insert(jpg, 2, segment(0xfe, []byte(script)...)),
		"JPEG, XMP":                 insert(jpg, 2, segment(0xe1, []byte("http://ns.adobe.com/xap/1.0/\x00"+script)...)),
		"JPEG, ICC":                 insert(jpg, 2, segment(0xe2, []byte("ICC_PROFILE\x00\x01\x01"+script)...)),
		"JPEG, HTML behind it":      append(slices.Clone(jpg), script...),
		"JPEG, zip behind it":       append(slices.Clone(jpg), "PK\x03\x04"+script...),
		"JPEG, JPEG behind it":      slices.Concat(jpg, insert(jpg, 2, segment(0xfe, []byte(script)...))),
		"JPEG, thumbnail":           insert(jpg, 2, segment(0xe1, slices.Concat(exif(binary.LittleEndian, 1), []byte(script), jpegOf(t, scene(8, 8)))...)),
		"JPEG, text between":        insert(jpg, 2, []byte(script)[:0], segment(0xe0, []byte("JFIF\x00")...), []byte(script)),
		"PNG, tEXt":                 insert(png, afterIHDR, chunk("tEXt", []byte("Comment\x00"+script))),
		"PNG, zTXt that is a bomb":  insert(png, afterIHDR, chunk("zTXt", append([]byte("Comment\x00\x00"), zeros(t, 4<<20)...))),
		"PNG, iCCP that is a bomb":  insert(png, afterIHDR, chunk("iCCP", append([]byte("p\x00\x00"), zeros(t, 4<<20)...))),
		"PNG, many small chunks":    insert(png, afterIHDR, bytes.Repeat(chunk("tEXt", []byte("a\x00"+script)), 20000)),
		"PNG, HTML behind it":       append(slices.Clone(png), script...),
		"GIF, comment":              insert(gifOf(t, scene(40, 30)), 13, slices.Concat([]byte{0x21, 0xfe, byte(len(script))}, []byte(script), []byte{0})),
		"GIF, HTML behind it":       append(gifOf(t, scene(40, 30)), script...),
		"WebP, Exif":                riff(vp8x(1<<3, 75, 100), lossless[12:], riffChunk("EXIF", gps)),
		"WebP, XMP":                 riff(vp8x(1<<2, 75, 100), lossless[12:], riffChunk("XMP ", []byte(script))),
		"WebP, chunk nobody knows":  riff(riffChunk("junk", []byte(script)), lossless[12:]),
		"WebP, second picture":      riff(lossless[12:], riffChunk("VP8L", []byte(script))),
		"WebP, HTML behind it":      append(slices.Clone(lossless), script...),
		"WebP, Exif of odd content": riff(vp8x(1<<3, 75, 100), lossless[12:], riffChunk("EXIF", []byte(script)), riffChunk("EXIF", nil)),
	}
	for name, picture := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := avatar.JPEG(t.Context(), picture, 512)
			if err != nil {
				t.Fatal(err)
			}
			for _, bad := range []string{"script", "Exif", "GPS", "ICC_PROFILE", "xap", "PK\x03\x04"} {
				if bytes.Contains(out, []byte(bad)) {
					t.Errorf("%q is in the avatar", bad)
				}
			}
			wantBare(t, out)
		})
	}
}

// wantBare checks that a JPEG consists of what a picture needs, and nothing else.
func wantBare(t *testing.T, out []byte) {
	t.Helper()
	for at := 2; ; {
		if out[at] != 0xff {
			t.Fatalf("got %#x where a marker should be", out[at])
		}
		marker := out[at+1]
		if marker == 0xda {
			break
		}
		if marker != 0xdb && marker != 0xc0 && marker != 0xc4 {
			t.Errorf("got a segment %#x", marker)
		}
		at += 2 + int(binary.BigEndian.Uint16(out[at+2:]))
	}
	if i := bytes.Index(out, []byte{0xff, 0xd9}); i != len(out)-2 {
		t.Errorf("the picture ends at %d of %d bytes", i+2, len(out))
	}
	if _, err := jpeg.Decode(bytes.NewReader(out)); err != nil {
		t.Error(err)
	}
}

// A file cut off in its picture is refused, for it was not sent whole. What stands behind the
// picture may lack, the end marker of a JPEG too: browsers show that.
func TestCutOffFiles(t *testing.T) {
	t.Parallel()
	img := scene(12, 9)
	exifChunk := riffChunk("EXIF", exif(binary.LittleEndian, 6))
	for name, tt := range map[string]struct {
		picture []byte
		behind  int // bytes that need not be there
	}{
		"JPEG":            {jpegOf(t, img), 2},
		"JPEG, Exif":      {insert(jpegOf(t, img), 2, segment(0xe1, exif(binary.LittleEndian, 6)...)), 2},
		"PNG":             {pngOf(t, img), 0},
		"PNG, interlaced": {zeroPNG(t, 12, 9, 8, 6, true, chunk("eXIf", exif(binary.BigEndian, 6)[6:])), 0},
		"GIF":             {gifOf(t, img), 1},
		"WebP, lossless":  {webpFile(t, "gopher-doc.1bpp.lossless"), 1},
		"WebP, lossy":     {webpFile(t, "blue-purple-pink.lossy"), 0},
		"WebP, Exif":      {riff(vp8x(1<<3, 75, 100), webpFile(t, "gopher-doc.1bpp.lossless")[12:], exifChunk), len(exifChunk) + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range len(tt.picture) + 1 {
				want := avatar.ErrFormat
				if n >= len(tt.picture)-tt.behind {
					want = nil
				}
				if _, err := avatar.JPEG(t.Context(), tt.picture[:n:n], 512); !errors.Is(err, want) {
					t.Errorf("%d of %d bytes: got %v, want %v", n, len(tt.picture), err, want)
				}
			}
		})
	}
}

// A progressive JPEG whose last scans are missing is coarser.
func TestProgressiveJPEGThatBrokeOff(t *testing.T) {
	t.Parallel()
	whole := flatJPEG(64, 64, true, 3, nil, component{1, 0x22, 500}, component{2, 0x11, 0}, component{3, 0x11, 0})
	cut := whole[:bytes.LastIndex(whole, []byte{0xff, 0xda})]
	if got, want := made(t, 512, cut).At(0, 0), made(t, 512, whole).At(0, 0); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Stickers are animations. Of one the first frame is taken, wherever it lies, with its
// transparency.
func TestAnimatedWebP(t *testing.T) {
	t.Parallel()
	lossless, lossy := webpFile(t, "gopher-doc.1bpp.lossless")[12:], webpFile(t, "blue-purple-pink.lossy")[12:]
	withAlpha := webpFile(t, "yellow_rose.lossy-with-alpha")[30:] // behind VP8X: ALPH, VP8
	animation := func(frames ...[]byte) []byte {
		return riff(append([][]byte{vp8x(1<<1|1<<4, 1000, 800), riffChunk("ANIM", make([]byte, 6))}, frames...)...)
	}
	anmf := func(width, height int, chunks ...[]byte) []byte {
		head := []byte{5, 0, 0, 7, 0, 0}
		head = append(head, byte(width-1), byte((width-1)>>8), 0, byte(height-1), byte((height-1)>>8), 0, 100, 0, 0, 0)
		return riffChunk("ANMF", slices.Concat(append([][]byte{head}, chunks...)...))
	}
	still := func(chunks ...[]byte) []byte { return riff(chunks...) }
	for name, tt := range map[string]struct{ picture, same []byte }{
		"lossless":              {animation(anmf(75, 100, lossless), anmf(150, 100, lossy)), still(lossless)},
		"lossy":                 {animation(anmf(150, 100, lossy), anmf(75, 100, lossless)), still(lossy)},
		"lossy with alpha":      {animation(anmf(400, 301, withAlpha), anmf(75, 100, lossless)), webpFile(t, "yellow_rose.lossy-with-alpha")},
		"chunks nobody knows":   {animation(riffChunk("junk", nil), anmf(75, 100, riffChunk("junk", []byte("x")), lossless)), still(lossless)},
		"empty frame first":     {animation(anmf(75, 100), anmf(150, 100, lossy)), still(lossy)},
		"the second is cut off": {animation(anmf(75, 100, lossless), anmf(150, 100, lossy)[:50]), still(lossless)},
	} {
		got, err := avatar.JPEG(t.Context(), tt.picture, 512)
		want, wantErr := avatar.JPEG(t.Context(), tt.same, 512)
		if err != nil || wantErr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want the first frame", name, err, wantErr)
		}
	}
	for name, picture := range map[string][]byte{
		"no frame": animation(), "frame of nothing": animation(riffChunk("ANMF", make([]byte, 16))), "frame too short": animation(riffChunk("ANMF", nil)),
		"frames in frames": animation(anmf(75, 100, anmf(75, 100, lossless))), "alpha of another size": animation(anmf(10, 10, withAlpha)),
	} {
		if _, err := avatar.JPEG(t.Context(), picture, 512); !errors.Is(err, avatar.ErrFormat) {
			t.Errorf("%s: got %v, want %v", name, err, avatar.ErrFormat)
		}
	}
}

// A frame that is smaller than the screen, or does not begin at its corner, is a picture like
// another.
func TestFrameInAScreen(t *testing.T) {
	t.Parallel()
	data := gifOf(t, image.NewGray(image.Rect(0, 0, 6, 4)))
	frame := slices.Index(data, 0x2c) // of the image descriptor: no such byte comes before
	for at, want := range map[int]int{6: 600, 8: 400} {
		binary.LittleEndian.PutUint16(data[at:], uint16(want))
	}
	binary.LittleEndian.PutUint16(data[frame+1:], 100)
	binary.LittleEndian.PutUint16(data[frame+3:], 200)
	if got, want := made(t, 512, data).Bounds().Size(), image.Pt(6, 4); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
