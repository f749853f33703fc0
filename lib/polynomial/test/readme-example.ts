import { Combination, Evaluator, evaluatePolynomial, referenceCoefficients } from '@cumulus/polynomial'

const data = new TextEncoder().encode('thirty bytes are a coefficient, so these are two of them')

// At one secret point, for gigabytes of data.
const evaluator = new Evaluator(123456789n)
export const value = evaluator.evaluate(data)
export const expected = evaluatePolynomial(referenceCoefficients(data), 123456789n)

// P = 3·F + 5·G, its value at 7, and the coefficients of (P − P(7)) / (X − 7).
const combination = new Combination(2)
combination.add(data, 3n)
combination.add(data.subarray(4), 5n)
export const division = combination.divide(7n)
