// The orientation in Exif.

package avatar

import "encoding/binary"

// orientation returns how a picture lies, 1 to 8, from its Exif data in TIFF form: 1, which is
// upright, for whatever cannot be read. It looks at the first directory only and follows no other
// offset, so there is nothing to go round in.
func orientation(tiff []byte) int {
	const (
		header = 8
		entry  = 12
		tag    = 0x0112
		short  = 3
	)
	if len(tiff) < header {
		return 1
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := int64(order.Uint32(tiff[4:]))
	if at < header || at > int64(len(tiff)-2) {
		return 1
	}
	count, entries := int(order.Uint16(tiff[at:])), tiff[at+2:]
	for ; count > 0 && len(entries) >= entry; count, entries = count-1, entries[entry:] {
		if order.Uint16(entries) != tag {
			continue
		}
		if order.Uint16(entries[2:]) != short || order.Uint32(entries[4:]) != 1 {
			return 1
		}
		if value := order.Uint16(entries[8:]); 1 <= value && value <= 8 {
			return int(value)
		}
		return 1
	}
	return 1
}
