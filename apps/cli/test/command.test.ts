import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { command, formatBytes, parseCall, renderHelp, UsageError } from '../src/command.ts'
import { commands } from '../src/commands/index.ts'

describe('a call', () => {
  const spec = {
    dir: { kind: 'text', help: 'folder', default: '.cumulus' },
    s3Port: { kind: 'number', help: 'port', default: 9000, min: 0, max: 65_535 },
    lite: { kind: 'flag', help: 'one process', default: false },
  } as const

  it('gives settings, positionals and whether help is wanted', () => {
    const call = parseCall(spec, ['a', '--s3-port', '9100', '--lite', 'b'], { CUMULUS_DIR: '/x' })
    assert.deepEqual(call, { settings: { dir: '/x', s3Port: 9100, lite: true }, positionals: ['a', 'b'], help: false })
    assert.equal(parseCall(spec, ['-h', '--s3-port', '1'], {}).help, true)
  })
  it('with an option that does not exist is refused with the one that was meant', () => {
    assert.throws(
      () => parseCall(spec, ['--s3port', '1'], {}),
      (error) => error instanceof UsageError && /did you mean s3-port/.test(error.message),
    )
    assert.throws(() => parseCall(spec, ['--dir'], {}), UsageError)
  })
  it('with a wrong value says which option and what would be right', () => {
    assert.throws(
      () => parseCall(spec, ['--s3-port', '70000'], {}),
      /--s3-port: "70000" is not a number of at most 65535/,
    )
  })
})

describe('help', () => {
  it('of every command teaches its options and is loaded from its own file', async () => {
    for (const entry of commands) {
      const loaded = await entry.load()
      assert.equal(loaded.name, entry.name)
      const text = renderHelp(loaded)
      assert.ok(text.includes(`Usage: cumulus ${entry.name}`))
      for (const [name, setting] of Object.entries(loaded.settings)) {
        if (!setting.hidden) assert.ok(text.includes(setting.help), `${entry.name} --${name}`)
      }
    }
  })
  it('shows defaults and choices', () => {
    const text = renderHelp(
      command({
        name: 'x',
        summary: 's',
        settings: {
          space: { kind: 'bytes', help: 'space', default: 2 ** 30 },
          preset: { kind: 'text', help: 'rules', choices: ['dev', 'minimal'] },
        },
        run: async () => 0,
      }),
    )
    assert.match(text, /--space SIZE\s+space \(default 1 GiB\)/)
    assert.match(text, /--preset TEXT\s+rules \(one of dev, minimal\)/)
  })
})

describe('sizes', () => {
  it('are shown with three digits at most, in binary units', () => {
    assert.deepEqual([0, 1023, 1536, 100 * 2 ** 20, 2 ** 30, 1.25 * 2 ** 40].map(formatBytes), [
      '0 B',
      '1023 B',
      '1.5 KiB',
      '100 MiB',
      '1 GiB',
      '1.25 TiB',
    ])
  })
})
