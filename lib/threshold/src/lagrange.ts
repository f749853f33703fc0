/** n! */
export function factorial(n: number): bigint {
  let product = 1n
  for (let i = 2; i <= n; i++) product *= BigInt(i)
  return product
}

/**
 * Whole numbers w with Σ wᵢ·f(iᵢ+1) = n!·f(x) for every polynomial of lower degree than there are indices: Lagrange's coefficients
 * times n!. They are whole because the denominators are products of distinct differences of 1..n: for x = 0 they divide
 * (i-1)!·(n-i)!, and for x in 1..n likewise (V. Shoup, _Practical threshold signatures_, 2000, section 2).
 *
 * @param indices distinct, from 0 to n-1
 */
export function weightsAt(x: number, indices: readonly number[], n: number): bigint[] {
  const scale = factorial(n)
  return indices.map((own) => {
    let [numerator, denominator] = [scale, 1n]
    for (const other of indices) {
      if (other === own) continue
      numerator *= BigInt(x - (other + 1))
      denominator *= BigInt(own - other)
    }
    return numerator / denominator
  })
}
