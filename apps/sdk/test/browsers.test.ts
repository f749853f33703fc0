import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

describe('the package', () => {
  it('imports nothing of Node.js: it runs in browsers', () => {
    const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
    const seen = new Set<string>()
    const strangers = new Set<string>()
    const visit = (file: string) => {
      if (seen.has(file)) return
      seen.add(file)
      for (const [, name] of readFileSync(file, 'utf8').matchAll(
        /^(?:import|export)\b(?! type\b)[^'"]*?from '([^']+)'/gms,
      )) {
        if (name!.startsWith('.')) visit(join(dirname(file), name!))
        else if (name!.startsWith('@cumulus/')) visit(fileURLToPath(import.meta.resolve(name!)))
        else strangers.add(name!)
      }
    }
    visit(join(root, 'apps/sdk/src/index.ts'))
    assert(seen.size > 15)
    assert.deepEqual([...strangers].sort(), ['@noble/curves/bls12-381.js', 'hash-wasm'])
  })
})
