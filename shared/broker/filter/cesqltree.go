package filter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/antlr/antlr4/runtime/Go/antlr"
	cesql "github.com/cloudevents/sdk-go/sql/v2"
	sqlerrors "github.com/cloudevents/sdk-go/sql/v2/errors"
	"github.com/cloudevents/sdk-go/sql/v2/expression"
	"github.com/cloudevents/sdk-go/sql/v2/gen"
	sqlparser "github.com/cloudevents/sdk-go/sql/v2/parser"
	"github.com/cloudevents/sdk-go/sql/v2/utils"
	"github.com/cloudevents/sdk-go/v2/event"
)

// parseTree does what the SDK's parser does, with AND and OR of our own. The
// SDK's give up at the first error, so that an event without the attribute on the
// left of an OR never passes, whatever stands on its right.
func parseTree(text string) (cesql.Expression, error) {
	lexer := gen.NewCESQLParserLexer(sqlparser.NewCaseChangingStream(antlr.NewInputStream(text), true))
	lexer.RemoveErrorListeners() // what starts no token is passed over, as the SDK does
	p := gen.NewCESQLParserParser(antlr.NewCommonTokenStream(lexer, antlr.TokenDefaultChannel))
	p.RemoveErrorListeners()
	p.AddErrorListener(&firstError{})
	var b treeBuilder
	root := b.build(p.Cesql())
	return root, errors.Join(b.errs...)
}

// firstError ends the parser at the first error by a panic: recovery from errors,
// of which 4 KiB can have a thousand, takes seconds.
type firstError struct{ antlr.DefaultErrorListener }

func (*firstError) SyntaxError(_ antlr.Recognizer, _ any, line, column int, message string, _ antlr.RecognitionException) {
	panic(fmt.Sprintf("line %d, column %d: %s", line, column+1, message))
}

// treeBuilder makes an expression of a parse tree that has no syntax errors.
type treeBuilder struct{ errs []error }

func (b *treeBuilder) build(tree antlr.Tree) cesql.Expression {
	switch t := tree.(type) {
	case *gen.BinaryLogicExpressionContext:
		return b.logic(t)
	case *gen.UnaryLogicExpressionContext:
		return expression.NewNotExpression(b.build(t.Expression()))
	case *gen.UnaryNumericExpressionContext:
		return expression.NewNegateExpression(b.build(t.Expression()))
	case *gen.SubExpressionContext:
		return b.build(t.Expression())
	case *gen.BinaryComparisonExpressionContext:
		return b.comparison(t)
	case *gen.BinaryAdditiveExpressionContext:
		if t.PLUS() != nil {
			return expression.NewSumExpression(b.build(t.Expression(0)), b.build(t.Expression(1)))
		}
		return expression.NewDifferenceExpression(b.build(t.Expression(0)), b.build(t.Expression(1)))
	case *gen.BinaryMultiplicativeExpressionContext:
		return b.product(t)
	case *gen.LikeExpressionContext:
		return b.like(t)
	case *gen.ExistsExpressionContext:
		return expression.NewExistsExpression(strings.ToLower(t.Identifier().GetText()))
	case *gen.InExpressionContext:
		in := expression.NewInExpression(b.build(t.Expression()), b.all(t.SetExpression().(*gen.SetExpressionContext).AllExpression()))
		return negated(in, t.NOT() != nil)
	case *gen.FunctionInvocationExpressionContext:
		arguments := t.FunctionParameterList().(*gen.FunctionParameterListContext).AllExpression()
		return expression.NewFunctionInvocationExpression(strings.ToUpper(t.FunctionIdentifier().GetText()), b.all(arguments))
	case *gen.IdentifierContext:
		return expression.NewIdentifierExpression(strings.ToLower(t.GetText()))
	case *gen.BooleanLiteralContext:
		return expression.NewLiteralExpression(t.TRUE() != nil)
	case *gen.IntegerLiteralContext:
		n, err := strconv.ParseInt(t.GetText(), 10, 32)
		if err != nil {
			b.errs = append(b.errs, fmt.Errorf("%s is not a 32-bit integer", t.GetText()))
		}
		return expression.NewLiteralExpression(int32(n))
	case *gen.StringLiteralContext:
		return expression.NewLiteralExpression(unquote(t))
	}
	// The start rule, atoms: rules of one child that is a rule, too.
	return b.build(tree.GetChild(0))
}

func (b *treeBuilder) all(contexts []gen.IExpressionContext) []cesql.Expression {
	out := make([]cesql.Expression, len(contexts))
	for i, c := range contexts {
		out[i] = b.build(c)
	}
	return out
}

func (b *treeBuilder) logic(t *gen.BinaryLogicExpressionContext) cesql.Expression {
	left, right := b.build(t.Expression(0)), b.build(t.Expression(1))
	switch {
	case t.AND() != nil:
		return logic{left, right, false}
	case t.OR() != nil:
		return logic{left, right, true}
	}
	return expression.NewXorExpression(left, right)
}

func (b *treeBuilder) comparison(t *gen.BinaryComparisonExpressionContext) cesql.Expression {
	left, right := b.build(t.Expression(0)), b.build(t.Expression(1))
	switch {
	case t.EQUAL() != nil:
		return expression.NewEqualExpression(left, right)
	case t.LESS() != nil:
		return expression.NewLessExpression(left, right)
	case t.LESS_OR_EQUAL() != nil:
		return expression.NewLessOrEqualExpression(left, right)
	case t.GREATER() != nil:
		return expression.NewGreaterExpression(left, right)
	case t.GREATER_OR_EQUAL() != nil:
		return expression.NewGreaterOrEqualExpression(left, right)
	}
	return expression.NewNotEqualExpression(left, right) // != and <>
}

func (b *treeBuilder) product(t *gen.BinaryMultiplicativeExpressionContext) cesql.Expression {
	left, right := b.build(t.Expression(0)), b.build(t.Expression(1))
	switch {
	case t.STAR() != nil:
		return expression.NewMultiplicationExpression(left, right)
	case t.MODULE() != nil:
		return expression.NewModuleExpression(left, right)
	}
	return expression.NewDivisionExpression(left, right)
}

func (b *treeBuilder) like(t *gen.LikeExpressionContext) cesql.Expression {
	like, err := expression.NewLikeExpression(b.build(t.Expression()), unquote(t.StringLiteral()))
	if err != nil {
		b.errs = append(b.errs, err)
		return expression.NewLiteralExpression(false)
	}
	return negated(like, t.NOT() != nil)
}

func negated(x cesql.Expression, yes bool) cesql.Expression {
	if yes {
		return expression.NewNotExpression(x)
	}
	return x
}

// unquote takes the quotes off a literal and leaves escaped ones in it.
func unquote(literal antlr.ParseTree) string {
	text := literal.GetText()
	quote := text[:1]
	return strings.ReplaceAll(text[1:len(text)-1], `\`+quote, quote)
}

// logic is OR, decided by true, or AND, decided by false.
//
// By CESQL 1.0, section 3.2, a subexpression without its attribute has a value
// and an error, and evaluation goes on; by section 1.2 an event does not pass
// where errors are left in the end. Both hold here if such an error counts only
// where it matters: an operand that decides makes the other irrelevant on either
// side, as if the two stood in the order that never looks at it.
type logic struct {
	left, right cesql.Expression
	decides     bool
}

func (l logic) Evaluate(e event.Event) (any, error) {
	left, missing := boolean(l.left, e)
	if missing != nil && !sqlerrors.IsMissingAttributeError(missing) {
		return false, missing
	}
	if missing == nil && left == l.decides {
		return left, nil
	}
	right, err := boolean(l.right, e)
	switch {
	case err == nil && right == l.decides:
		return right, nil
	case missing != nil:
		return false, missing
	case err != nil:
		return false, err
	}
	return right, nil // left is neutral
}

func boolean(x cesql.Expression, e event.Event) (bool, error) {
	v, err := x.Evaluate(e)
	if err != nil {
		return false, err
	}
	v, err = utils.Cast(v, cesql.BooleanType)
	if err != nil {
		return false, err
	}
	return v.(bool), nil
}
