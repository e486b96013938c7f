package notify

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

var update = flag.Bool("update", false, "draw letters.png anew")

func TestTypeface(t *testing.T) {
	t.Parallel()
	parsed, err := opentype.Parse(gomono.TTF)
	require.NoError(t, err)
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: fontSize, DPI: 72, Hinting: font.HintingFull})
	require.NoError(t, err)
	last := written[len(written)-1]
	drawn := image.NewGray(image.Rect(0, 0, letterWidth, (letterAscent+letterDescent)*(last.Offset+1)))
	for _, r := range written {
		for c := r.Low; c < r.High; c++ {
			bounds, advance, ok := face.GlyphBounds(c)
			require.True(t, ok, "%q", c)
			require.Equal(t, fixed.I(letterWidth), advance, "%q", c)
			require.LessOrEqual(t, bounds.Max.Y.Ceil(), letterDescent, "%q", c)
			require.LessOrEqual(t, -bounds.Min.Y.Floor(), letterAscent, "%q", c)
			pen := font.Drawer{Dst: drawn, Src: image.White, Face: face}
			pen.Dot = fixed.P(0, (letterAscent+letterDescent)*(int(c-r.Low)+r.Offset)+letterAscent)
			pen.DrawString(string(c))
		}
	}
	var b bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, drawn))
	if *update {
		require.NoError(t, os.WriteFile("letters.png", b.Bytes(), 0o600))
		return
	}
	kept, err := png.Decode(bytes.NewReader(letters))
	require.NoError(t, err)
	require.Equal(t, drawn, kept, "go test ./functions/notify -run Typeface -update")
}

// hill has its top at fast 30, slow 120.
func hill(fast, slow, step int) (points []job.Row) {
	for f := 5; f <= fast; f += step {
		for s := f + step; s <= slow; s += step {
			points = append(points, job.Row{FastPeriod: f, SlowPeriod: s, Score: 3 - math.Hypot(float64(f-30)/10, float64(s-120)/40)})
		}
	}
	return points
}

// pictureOf is the picture of rows that are all of a sweep's.
func pictureOf(rows []job.Row) (*Picture, error) {
	s, ok := heatmap.OfRows(rows, 1)
	if !ok {
		return nil, nil
	}
	return newPicture("job", s.Map(0, heatmap.Best))
}

func TestPicture(t *testing.T) {
	t.Parallel()
	p, err := pictureOf(hill(50, 200, 5))
	require.NoError(t, err)
	require.Equal(t, "cid:heat-map.job@sweepline", string(p.Src))
	require.Equal(t, "Heat map of the score over fast and slow periods: best at fast 30, slow 120 with 3.00; scores run from -0.72 to 3.00.", p.Alt)
	img, err := png.Decode(bytes.NewReader(p.file))
	require.NoError(t, err)
	require.Equal(t, 2*p.Width, img.Bounds().Dx())
	require.Equal(t, 2*p.Height, img.Bounds().Dy())
	require.IsType(t, &image.Paletted{}, img, "a byte for each pixel, which is encoded in a fraction of the time")

	whole, _ := heatmap.OfRows(hill(50, 200, 5), 5)
	s := whole.Map(0, heatmap.Best)
	x := plotLeft + (plotRight-plotLeft)*(2*s.BestField.Slow+1)/(2*s.Slow.Bins())
	y := plotBottom - (plotBottom-plotTop)*(2*s.BestField.Fast+1)/(2*s.Fast.Bins())
	require.Equal(t, colourOf(heatmap.Shades-1), color.RGBAModel.Convert(img.At(x, y)), "the best has the best colour")
	require.Equal(t, mark, color.RGBAModel.Convert(img.At(x+markRadius, y)), "and a ring around it")
	require.Equal(t, empty, color.RGBAModel.Convert(img.At(plotLeft+5, plotTop+5)), "fast is never above slow")
}

func TestPictureOfOddRows(t *testing.T) {
	t.Parallel()
	p, err := pictureOf(nil)
	require.NoError(t, err)
	require.Nil(t, p)
	many := hill(499, 500, 1)
	require.Greater(t, len(many), 100_000)
	for i := range many { // noise, which PNG cannot pack, and figures as long as they get
		many[i].Score = float64(i*7919%100_003) * -jobstore.Largest / 100_003
	}
	p, err = pictureOf(many)
	require.NoError(t, err)
	require.Less(t, len(p.file), mostPicture/2)
	nine := 9
	p, err = pictureOf([]job.Row{{FastPeriod: 1, SlowPeriod: 2, SignalPeriod: &nine, Score: 1}, {FastPeriod: 1, SlowPeriod: 2}})
	require.NoError(t, err, "one field is an area")
	require.Contains(t, p.Alt, "signal 9")
}

func BenchmarkPicture(b *testing.B) {
	for name, points := range map[string][]job.Row{"370_rows": hill(50, 200, 5), "124000_rows": hill(499, 500, 1)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := pictureOf(points)
				require.NoError(b, err)
				b.ReportMetric(float64(len(p.file)), "file-bytes")
			}
		})
	}
}
