package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/report"
)

// The picture has its own background, in light and in dark, for a page may be of either kind.
const style = `<style>
.ground{fill:#ffffff}.value{stroke:#ffffff}.text{fill:#1f2328}.soft{fill:#59636e}.grid{stroke:#d1d9e0}.bolt{color:#0969da}.redis{color:#cf222e}
@media (prefers-color-scheme:dark){
.ground{fill:#0d1117}.value{stroke:#0d1117}.text{fill:#f0f6fc}.soft{fill:#9198a1}.grid{stroke:#3d444d}.bolt{color:#4493f8}.redis{color:#ff7b72}
}
text{font:12px system-ui,sans-serif}.title{font-size:14px;font-weight:600}
.line{fill:none;stroke:currentColor;stroke-width:2}.dot{fill:currentColor}.value{fill:currentColor;font-size:11px;paint-order:stroke;stroke-width:3px}
</style>`

const (
	panelWidth, panelHeight = 390, 264
	left, right             = 70, 40 // around a panel's plot
	top, bottom             = 46, 60
	legend                  = 34 // above all panels
)

// panel is one of the four plots.
type panel struct {
	title string
	write func(float64) string
	of    func(point) float64
}

var panels = []panel{
	{"Start", millis, func(p point) float64 { return float64(p.Start) }},
	{"Memory of Caddy", report.Bytes, func(p point) float64 { return float64(p.Memory) }},
	{"Refresh p99, one client", millis, func(p point) float64 { return float64(p.Alone.P99) }},
	{"File, or memory of Redis", report.Bytes, func(p point) float64 { return float64(p.Size) }},
}

func millis(v float64) string { return report.Millis(time.Duration(v)) }

// picture draws how everything grows with the sessions, as an SVG.
func picture(points []point) string {
	var b strings.Builder
	width, height := 2*panelWidth, legend+2*panelHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		width, height, width, height)
	b.WriteString("<title>Start, memory, refresh and store size by the number of sessions</title>\n" + style + "\n")
	fmt.Fprintf(&b, `<rect class="ground" width="%d" height="%d"/>`+"\n", width, height)
	stores := storesOf(points)
	for i, store := range stores {
		fmt.Fprintf(&b, `<g class="%s"><circle class="dot" cx="%d" cy="20" r="4"/><text class="text" x="%d" y="24">store %s</text></g>`+"\n",
			store, left+i*100, left+10+i*100, store)
	}
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%2*panelWidth, legend+i/2*panelHeight)
		p.draw(&b, points, stores)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// storesOf returns the stores in the order in which they come.
func storesOf(points []point) (stores []string) {
	for _, p := range points {
		if !slices.Contains(stores, p.Store) {
			stores = append(stores, p.Store)
		}
	}
	return stores
}

func (p panel) draw(b *strings.Builder, points []point, stores []string) {
	const plotWidth, plotHeight = panelWidth - left - right, panelHeight - top - bottom
	least, most, highest := math.Inf(1), 0.0, 0.0
	for _, at := range points {
		least, most = min(least, float64(at.Sessions)), max(most, float64(at.Sessions))
		highest = max(highest, p.of(at))
	}
	highest = nice(highest)
	x := func(sessions float64) float64 {
		return left + plotWidth*math.Log(sessions/least)/max(math.Log(most/least), 1)
	}
	y := func(v float64) float64 { return top + plotHeight*(1-v/highest) }

	fmt.Fprintf(b, `<text class="text title" x="%d" y="24">%s</text>`+"\n", left, p.title)
	for _, part := range []float64{0, 0.5, 1} {
		v := highest * part
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, left, left+plotWidth, y(v), y(v))
		fmt.Fprintf(b, `<text class="soft" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-8, y(v)+4, p.label(v))
	}
	for sessions := least; sessions <= most*1.01; sessions *= 10 {
		fmt.Fprintf(b, `<text class="soft" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x(sessions), top+plotHeight+32, report.Thousands(int64(sessions)))
	}
	fmt.Fprintf(b, `<text class="soft" x="%d" y="%d" text-anchor="middle">sessions</text>`+"\n", left+plotWidth/2, top+plotHeight+50)
	for _, store := range stores {
		var line, marks strings.Builder
		for _, at := range points {
			if at.Store != store {
				continue
			}
			px, py := x(float64(at.Sessions)), y(p.of(at))
			fmt.Fprintf(&line, "%.1f,%.1f ", px, py)
			fmt.Fprintf(&marks, `<circle class="dot" cx="%.1f" cy="%.1f" r="3"/>`, px, py)
			anchor, beside := "middle", -8.0 // above the point
			if float64(at.Sessions) == least {
				anchor = "start" // the axis is to its left
			}
			if p.isLower(at, points) {
				beside = 16
			}
			fmt.Fprintf(&marks, `<text class="value" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, px, py+beside, anchor, p.label(p.of(at)))
		}
		fmt.Fprintf(b, `<g class="%s"><polyline class="line" points="%s"/>%s</g>`+"\n", store, strings.TrimSpace(line.String()), &marks)
	}
}

func (p panel) label(v float64) string {
	if v == 0 {
		return "0"
	}
	return p.write(v)
}

// isLower tells whether another store has more at the same number of sessions, or as much and comes first.
func (p panel) isLower(at point, points []point) bool {
	for _, other := range points {
		if other.Store == at.Store {
			continue
		}
		if other.Sessions == at.Sessions && p.of(other) >= p.of(at) {
			return p.of(other) > p.of(at) || other.Store < at.Store
		}
	}
	return false
}

// nice is the first of 1, 2, 4, 5, 8 or 10 times a power of ten that is not less.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 4, 5, 8} {
		if v <= step*power {
			return step * power
		}
	}
	return 10 * power
}
