// The picture.

package main

import (
	"errors"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const rows, columns = 2, 2

// picture draws the samples into an SVG file.
func picture(file string, samples []sample) (err error) {
	canvas := vgsvg.New(9*vg.Inch, 6*vg.Inch)
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: vg.Points(16), PadY: vg.Points(16)}
	plots := make([][]*plot.Plot, rows)
	for i, b := range bounds {
		p, err := curve(b.name, b.of, samples)
		if err != nil {
			return err
		}
		plots[i/columns] = append(plots[i/columns], p)
	}
	whole := draw.New(canvas)
	for i, row := range plot.Align(plots, tiles, whole) {
		for j, tile := range row {
			plots[i][j].Draw(tile)
		}
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(f)
	return errors.Join(err, f.Close())
}

func curve(name string, of func(sample) float64, samples []sample) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Min = name, "minutes", 0
	points := make(plotter.XYs, len(samples))
	for i, one := range samples {
		points[i] = plotter.XY{X: one.at.Minutes(), Y: of(one)}
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return nil, err
	}
	line.Color = color.RGBA{R: 0x07, G: 0x90, B: 0x4f, A: 0xff}
	p.Add(plotter.NewGrid(), line)
	return p, nil
}
