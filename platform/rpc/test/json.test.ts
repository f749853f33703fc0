import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseJson } from '../src/json.ts'
import { RpcError } from '../src/rpc-error.ts'

const encode = (text: string) => new TextEncoder().encode(text)
const refusedAs = (code: string) => (error: unknown) => error instanceof RpcError && error.code === code

describe('a JSON body', () => {
  it('is parsed as JSON.parse does, whatever is in its texts', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        assert.deepEqual(parseJson(encode(text), 64), JSON.parse(text))
      }),
    )
  })

  it('may nest exactly as deep as the limit', () => {
    const nested = (depth: number) => encode('['.repeat(depth) + ']'.repeat(depth))
    parseJson(nested(32), 32)
    assert.throws(() => parseJson(nested(33), 32), refusedAs('LIMIT_EXCEEDED'))
  })

  it('is refused when a million brackets deep, without overflowing the stack', () => {
    assert.throws(() => parseJson(encode('[{"a":'.repeat(500_000)), 32), refusedAs('LIMIT_EXCEEDED'))
  })

  it('may hold any number of brackets within texts', () => {
    assert.deepEqual(parseJson(encode(JSON.stringify([`[[[{{{\\"${'['.repeat(100)}`])), 2), [
      `[[[{{{\\"${'['.repeat(100)}`,
    ])
  })

  it('is refused if it is not UTF-8 or not JSON', () => {
    for (const bytes of [Uint8Array.of(0x22, 0xff, 0x22), encode('{"a":1'), encode(''), encode('"\\'), encode(']]')]) {
      assert.throws(() => parseJson(bytes, 32), refusedAs('PARSE_ERROR'))
    }
  })
})
