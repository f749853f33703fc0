import { readFileSync } from 'node:fs'
import { type Compiled, compile } from '../compile/solidity.ts'

/** Contracts of `test/solidity`. */
export function compileTests(file: string, names: readonly string[]): ReadonlyMap<string, Compiled> {
  const path = `test/solidity/${file}`
  const source = readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
  return compile(
    { [path]: source },
    names.map((name) => `${path}:${name}`),
  ).contracts
}
