package notify

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"strconv"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/zixly/sweepline/shared/heatmap"
)

// The picture's measures in pixels. It is drawn at twice the size that it is
// shown in, for sharp screens; the plot's size is what is left over.
const (
	pictureWidth, pictureHeight = 1200, 820
	plotLeft, plotTop           = 110, 100
	plotRight, plotBottom       = 1170, 660
	fontSize                    = 25
	markRadius                  = 20
)

// mostPicture bounds a picture's file. The largest heat map takes a quarter.
const mostPicture = 256 << 10

// Picture is the heat map of a sweep, as templates see it.
type Picture struct {
	// Src is the address that the message has the picture under.
	Src template.URL
	// Alt says the same in words.
	Alt string
	// Width and Height are those it is shown in.
	Width, Height int

	id   string
	file []byte // nil of one that is not drawn
}

// newPicture draws a map of a job.
func newPicture(jobID string, s heatmap.Map) (*Picture, error) {
	p := describe(jobID, s)
	var b bytes.Buffer
	c := canvases.Get().(*canvas) //nolint:forcetypeassert // nothing else is put there
	defer canvases.Put(c)
	c.paint(s)
	if err := encoder.Encode(&b, c.indexed()); err != nil {
		return nil, fmt.Errorf("encode picture: %w", err)
	}
	if b.Len() > mostPicture {
		return nil, fmt.Errorf("the picture has %d bytes, more than %d", b.Len(), mostPicture)
	}
	p.file = b.Bytes()
	return p, nil
}

// describe is a picture that is not drawn: what templates need of it.
func describe(jobID string, s heatmap.Map) *Picture {
	signal := ""
	if s.Best.SignalPeriod != nil {
		signal = fmt.Sprintf(", signal %d", *s.Best.SignalPeriod)
	}
	id := "heat-map." + jobID + "@sweepline" // of one message in the world (RFC 2392)
	return &Picture{
		Src: template.URL("cid:" + id), id: id, Width: pictureWidth / 2, Height: pictureHeight / 2, //nolint:gosec // a job's id is checked
		Alt: fmt.Sprintf("Heat map of the score over fast and slow periods: best at fast %d, slow %d%s with %s; scores run from %s to %s.",
			s.Best.FastPeriod, s.Best.SlowPeriod, signal, figure(s.Best.Score), figure(s.Low), figure(s.High)),
	}
}

// Colours of everything that is no field. They do not follow dark mode: the
// picture has its own ground.
var (
	ground = color.RGBA{0xff, 0xff, 0xff, 0xff}
	empty  = color.RGBA{0xe6, 0xea, 0xe8, 0xff}
	ink    = color.RGBA{0x15, 0x20, 0x1c, 0xff}
	mark   = color.RGBA{0xe0, 0x1b, 0x2d, 0xff}
)

// paint draws a map over whatever is on the canvas.
func (c canvas) paint(s heatmap.Map) {
	c.fill(c.Bounds(), ground)
	plot := image.Rect(plotLeft, plotTop, plotRight, plotBottom)
	c.fill(plot, empty)
	columns, lines := s.Slow.Bins(), s.Fast.Bins()
	// Borders are rounded each from its own place, so that neighbours meet.
	field := func(f heatmap.Field) image.Rectangle {
		return image.Rect(
			plot.Min.X+plot.Dx()*f.Slow/columns, plot.Max.Y-plot.Dy()*(f.Fast+1)/lines,
			plot.Min.X+plot.Dx()*(f.Slow+1)/columns, plot.Max.Y-plot.Dy()*f.Fast/lines)
	}
	for _, f := range s.Fields {
		c.fill(field(f), colourOf(f.Shade))
	}
	best := field(s.BestField)
	c.ring((best.Min.X+best.Max.X)/2, (best.Min.Y+best.Max.Y)/2)

	p := newPen(c)
	p.text(plotLeft, 40, left, "Score over fast and slow periods")
	p.text(plotLeft, 82, left, "fast ↑")
	p.text(plotRight, plotBottom+78, right, "slow period →")
	for _, t := range s.Slow.Ticks(7) {
		x := plot.Min.X + int(t.At*float64(plot.Dx()))
		c.fill(image.Rect(x-1, plot.Max.Y, x+1, plot.Max.Y+8), ink)
		p.text(x, plotBottom+38, centre, t.Label)
	}
	for _, t := range s.Fast.Ticks(6) {
		y := plot.Max.Y - int(t.At*float64(plot.Dy()))
		c.fill(image.Rect(plot.Min.X-8, y-1, plot.Min.X, y+1), ink)
		p.text(plotLeft-16, y+fontSize/3, right, t.Label)
	}
	legend(c, p, s)
}

// legend says at the bottom what the ring and the shades mean.
func legend(c canvas, p pen, s heatmap.Map) {
	const y, height, shadeWidth = 766, 24, 34
	c.ring(plotLeft+markRadius+4, y+height/2)
	x := p.text(plotLeft+2*markRadius+20, y+height-3, left, fmt.Sprintf("best: fast %d, slow %d, %s", s.Best.FastPeriod, s.Best.SlowPeriod, short(s.Best.Score)))
	high := short(s.Scale.High)
	x = max(x+30, plotRight-p.width(high)-12-heatmap.Shades*shadeWidth)
	low := short(s.Scale.Low)
	if x-12-p.width(low) > 0 {
		p.text(x-12, y+height-3, right, low)
	}
	for i := range heatmap.Shades {
		c.fill(image.Rect(x+i*shadeWidth, y, x+(i+1)*shadeWidth, y+height), colourOf(i))
	}
	p.text(x+heatmap.Shades*shadeWidth+12, y+height-3, left, high)
}

// short is a figure that leaves room for others, however large it is.
func short(x float64) string {
	if math.Abs(x) >= 1e5 {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	return figure(x)
}

func colourOf(shade int) color.RGBA {
	c := heatmap.Colours[shade]
	return color.RGBA{c[0], c[1], c[2], 0xff}
}

// canvas is what is drawn on, and room for what it becomes.
type canvas struct {
	*image.RGBA
	small *image.Paletted
}

// canvases are 5 MB each, and used again.
var canvases = sync.Pool{New: func() any {
	whole := image.Rect(0, 0, pictureWidth, pictureHeight)
	return &canvas{image.NewRGBA(whole), image.NewPaletted(whole, nil)}
}}

var encoder = png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: &buffers{}}

// buffers are those of the encoder, used again.
type buffers struct{ sync.Pool }

// Get implements png.EncoderBufferPool.
func (b *buffers) Get() *png.EncoderBuffer {
	e, _ := b.Pool.Get().(*png.EncoderBuffer)
	return e
}

// Put implements png.EncoderBufferPool.
func (b *buffers) Put(e *png.EncoderBuffer) { b.Pool.Put(e) }

// indexed is the canvas with a byte for each pixel, which is encoded in a fraction of the
// time; the canvas itself where it has more colours than a byte can tell.
func (c canvas) indexed() image.Image {
	c.small.Palette = c.small.Palette[:0]
	known := make(map[[4]uint8]uint8, 256)
	var last [4]uint8
	var index uint8
	for i := range c.small.Pix {
		pixel := [4]uint8(c.Pix[4*i : 4*i+4])
		if pixel != last || i == 0 { // most are as their neighbour
			var ok bool
			if index, ok = known[pixel]; !ok {
				if len(known) == 256 {
					return c.RGBA
				}
				index = uint8(len(known))
				known[pixel] = index
				c.small.Palette = append(c.small.Palette, color.RGBA{pixel[0], pixel[1], pixel[2], pixel[3]})
			}
			last = pixel
		}
		c.small.Pix[i] = index
	}
	return c.small
}

func (c canvas) fill(r image.Rectangle, with color.RGBA) {
	draw.Draw(c.RGBA, r, image.NewUniform(with), image.Point{}, draw.Src)
}

// ring marks a place: red between two white lines, to be seen on every shade.
func (c canvas) ring(x, y int) {
	const reach = markRadius + 6
	for dy := -reach; dy <= reach; dy++ {
		for dx := -reach; dx <= reach; dx++ {
			off := math.Abs(math.Hypot(float64(dx), float64(dy)) - markRadius) // from the middle of the line
			c.blend(x+dx, y+dy, ground, 5.5-off)
			c.blend(x+dx, y+dy, mark, 3.5-off)
		}
	}
}

// blend lays a colour over a pixel: all of it from 1 on, nothing from 0 down, in eighths,
// so that the picture keeps to few colours.
func (c canvas) blend(x, y int, with color.RGBA, much float64) {
	much = math.Round(8*max(0, min(1, much))) / 8
	under := c.RGBAAt(x, y)
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-much) + float64(b)*much)) }
	c.SetRGBA(x, y, color.RGBA{mix(under.R, with.R), mix(under.G, with.G), mix(under.B, with.B), 0xff})
}

// letters are those of Go Mono at fontSize, one below the other. Drawn beforehand,
// they spare functions a reader of typefaces and 0.4 MB. TestTypeface draws them.
//
//go:embed letters.png
var letters []byte

// written are the characters of letters in their order.
var written = []basicfont.Range{{Low: ' ', High: '~' + 1}, {Low: '↑', High: '↑' + 1, Offset: '~' + 1 - ' '}, {Low: '→', High: '→' + 1, Offset: '~' + 2 - ' '}}

// letterWidth, and so on, are the measures of Go Mono at fontSize.
const letterWidth, letterAscent, letterDescent = 15, 24, 7

// typeface is read once, by whoever writes first.
var typeface = sync.OnceValue(func() *basicfont.Face {
	img, err := png.Decode(bytes.NewReader(letters))
	if err != nil {
		panic(err) // it is compiled in
	}
	gray := img.(*image.Gray)        //nolint:forcetypeassert // it is compiled in
	for i, shade := range gray.Pix { // 16 shades are enough, and leave colours to the map
		gray.Pix[i] = uint8((int(shade) + 8) / 17 * 17)
	}
	return &basicfont.Face{
		Advance: letterWidth, Width: letterWidth, Height: letterAscent + letterDescent, Ascent: letterAscent, Descent: letterDescent,
		Mask: &image.Alpha{Pix: gray.Pix, Stride: gray.Stride, Rect: gray.Rect}, Ranges: written,
	}
})

// pen writes on a canvas.
type pen struct{ font.Drawer }

func newPen(c canvas) pen {
	return pen{font.Drawer{Dst: c.RGBA, Src: image.NewUniform(ink), Face: typeface()}}
}

// Where a text stands to its x, in halves of its width.
const (
	left = iota
	centre
	right
)

func (p *pen) width(text string) int { return p.MeasureString(text).Ceil() }

// text writes at x with its base line at y, and gives where it ends.
func (p *pen) text(x, y, side int, text string) int {
	p.Dot = fixed.P(x-side*p.width(text)/2, y)
	p.DrawString(text)
	return p.Dot.X.Ceil()
}
