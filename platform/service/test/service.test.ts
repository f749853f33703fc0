import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  Counter,
  createLogger,
  createMetrics,
  limitConcurrency,
  parseBytes,
  readJsonFile,
  readSettings,
  retry,
  SettingsError,
  sleep,
  startAdminServer,
  writeFileAtomic,
} from '@cumulus/service'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cumulus-service-'))
})
after(() => rm(folder, { recursive: true, force: true }))

describe('a setting', () => {
  const spec = {
    space: { kind: 'bytes', help: 'space', default: 2 ** 30 },
    rpcUrl: { kind: 'list', help: 'chain' },
    miners: { kind: 'number', help: 'how many', default: 12, min: 1, max: 100 },
    lite: { kind: 'flag', help: 'one process', default: false },
    preset: { kind: 'text', help: 'rules', default: 'dev', choices: ['dev', 'minimal'] },
  } as const

  it('comes from the flag, else the environment, else the file, else the default', async () => {
    const file = join(folder, 'config.yaml')
    await writeFile(file, 'space: 3GiB\nminers: 3\nlite: true\n')
    const env = { CUMULUS_MINERS: '4', CUMULUS_RPC_URL: 'http://a, http://b' }
    assert.deepEqual(readSettings(spec, { flags: { space: '2GiB' }, env, file }), {
      space: 2 * 2 ** 30,
      rpcUrl: ['http://a', 'http://b'],
      miners: 4,
      lite: true,
      preset: 'dev',
    })
  })
  it('that is wrong says where it came from and what would be right', async () => {
    const wrong = (flags: Record<string, string>, env: Record<string, string>, message: RegExp) =>
      assert.throws(
        () => readSettings(spec, { flags, env }),
        (error) => error instanceof SettingsError && message.test(error.message),
      )
    wrong({ miners: '0' }, {}, /--miners: "0" is not a number of at least 1/)
    wrong({ miners: 'many' }, {}, /--miners/)
    wrong({}, { CUMULUS_SPACE: '1 furlong' }, /CUMULUS_SPACE: .*1GiB/)
    wrong({ preset: 'mainet' }, {}, /one of dev, minimal/)
    const file = join(folder, 'typo.yaml')
    await writeFile(file, 'minners: 3\n')
    assert.throws(
      () => readSettings(spec, { flags: {}, env: {}, file }),
      /no setting "minners"; did you mean "miners"\?/,
    )
    await writeFile(file, '- a\n- b\n')
    assert.throws(() => readSettings(spec, { flags: {}, env: {}, file }), SettingsError)
  })
  it('in bytes knows decimal and binary units', () => {
    assert.equal(parseBytes('1GiB'), 2 ** 30)
    assert.equal(parseBytes('1.5 MB'), 1_500_000)
    assert.equal(parseBytes('4096'), 4096)
    for (const wrong of ['', 'GiB', '-1', '1QB', '1e3', '99999999TiB'])
      assert.equal(parseBytes(wrong), undefined, wrong)
  })
})

describe('a log line', () => {
  const lines: string[] = []
  const write = (line: string) => void lines.push(line)

  it('is one JSON object with time, level, name, message and fields', () => {
    const log = createLogger({ name: 'miner', json: true, write, now: () => new Date(0) }).child({ id: 7 })
    log.info('stored', { bytes: 5n, hash: new Uint8Array([1, 255]), cause: new Error('x') })
    const line = JSON.parse(lines.pop()!)
    assert.deepEqual(
      [line.time, line.level, line.name, line.message],
      ['1970-01-01T00:00:00.000Z', 'info', 'miner', 'stored'],
    )
    assert.deepEqual([line.id, line.bytes, line.hash, line.cause.message], [7, '5', '01ff', 'x'])
  })
  it('keeps below its level silent, cuts long fields and disarms control characters', () => {
    const log = createLogger({ name: 'x', json: false, write, level: 'warn' })
    log.info('quiet')
    assert.equal(lines.length, 0)
    log.warn('loud', { text: `a\x1b[2Jb\nc${'d'.repeat(5_000)}` })
    const line = lines.pop()!
    assert.ok(!line.includes('\x1b[2J') && line.split('\n').length === 2 && line.length < 3_000)
  })
})

describe('waiting', () => {
  it('ends at once when the signal aborts', async () => {
    const controller = new AbortController()
    const waiting = sleep(60_000, controller.signal)
    controller.abort(new Error('enough'))
    await assert.rejects(waiting, /enough/)
    await assert.rejects(sleep(1, controller.signal), /enough/)
  })
  it('is retried a limited number of times, and not where it makes no sense', async () => {
    let calls = 0
    const failing = async () => {
      calls++
      throw new Error(`try ${calls}`)
    }
    await assert.rejects(retry(failing, { attempts: 3, baseMs: 1, maxMs: 2 }), /try 3/)
    await assert.rejects(retry(failing, { attempts: 3, baseMs: 1, maxMs: 2, retriable: () => false }), /try 4/)
  })
  it('lets a limited number of tasks run, in order', async () => {
    const limit = limitConcurrency(2)
    let running = 0
    let most = 0
    const order: number[] = []
    await Promise.all(
      [0, 1, 2, 3, 4].map((index) =>
        limit(async () => {
          most = Math.max(most, ++running)
          order.push(index)
          await sleep(2)
          running--
        }),
      ),
    )
    assert.equal(most, 2)
    assert.deepEqual(order, [0, 1, 2, 3, 4])
  })
})

describe('a file', () => {
  it('is replaced as a whole and leaves no temporary behind', async () => {
    const path = join(folder, 'deep', 'key.json')
    await writeFileAtomic(path, '{"a":1}', { mode: 0o600 })
    await writeFileAtomic(path, '{"a":2}')
    assert.deepEqual(await readJsonFile(path), { a: 2 })
    assert.deepEqual(await readdir(join(folder, 'deep')), ['key.json'])
  })
  it('that is absent reads as undefined; one that is broken or huge is refused', async () => {
    assert.equal(await readJsonFile(join(folder, 'none.json')), undefined)
    const path = join(folder, 'broken.json')
    await writeFile(path, '{')
    await assert.rejects(readJsonFile(path), { code: 'FILE_MALFORMED' })
    await assert.rejects(readJsonFile(path, 0), { code: 'FILE_TOO_LARGE' })
    assert.equal(await readFile(path, 'utf8'), '{')
  })
})

describe('the admin server', () => {
  it('answers health, status and metrics, and nothing else', async () => {
    const metrics = createMetrics({ process: false })
    new Counter({ name: 'cumulus_test_total', help: 'a test', registers: [metrics] }).inc(3)
    let ok = true
    const server = await startAdminServer({
      host: '127.0.0.1',
      port: 0,
      metrics,
      health: () => ({ ok, checks: [{ name: 'disk', ok }] }),
      status: () => ({ height: 12n }),
    })
    const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${server.port}${path}`, init)
    try {
      assert.equal((await get('/health')).status, 200)
      ok = false
      assert.equal((await get('/ready')).status, 503)
      assert.deepEqual(await (await get('/status')).json(), { height: '12' })
      assert.match(await (await get('/metrics')).text(), /cumulus_test_total 3/)
      assert.equal((await get('/nothing')).status, 404)
      assert.equal((await get('/status', { method: 'POST', body: 'x' })).status, 405)
      await assert.rejects(
        startAdminServer({
          host: '127.0.0.1',
          port: server.port,
          metrics,
          health: () => ({ ok, checks: [] }),
          status: () => ({}),
        }),
        { code: 'PORT_TAKEN' },
      )
    } finally {
      await server.close()
    }
  })
})
