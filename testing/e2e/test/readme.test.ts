import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')

describe('the five minutes of the README', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cumulus-readme-'))
  })
  after(async () => {
    spawnSync(process.execPath, [join(root, 'apps/cli/bin/cumulus.mjs'), 'down', '--dir', folder])
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  it('work as they are written', async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8')
    const blocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!)
    assert.ok(blocks.length >= 4, 'the tour has its commands in sh blocks')
    // As written, but in a folder of our own, and without installing what runs this test.
    const script = blocks
      .join('\n')
      .replaceAll(/^npm ci$/gm, '')
      .replaceAll('npx cumulus', join(root, 'node_modules/.bin/cumulus'))
      .replaceAll('.cumulus/', `${folder}/`)
    const result = spawnSync('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: root,
      env: { ...process.env, CUMULUS_DIR: folder },
      encoding: 'utf8',
      timeout: 300_000,
    })
    const said = `${result.stdout}\n${result.stderr}`
    assert.equal(result.status, 0, said)
    assert.equal(result.stdout.match(/^identical$/gm)?.length, 2, said)
  })
})
