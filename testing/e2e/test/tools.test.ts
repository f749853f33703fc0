import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { LocalNetwork } from '../src/local-network.ts'
import { seededBytes } from '../src/seeded-bytes.ts'
import { findTool, runTool } from '../src/tool.ts'

/** Programs that know nothing of Cumulus, each doing its real job: the protocol is S3's or it is wrong. */
describe('tools that speak S3', { concurrency: false }, () => {
  let network: LocalNetwork
  let folder: string
  /** A source tree of some thousand files, with names and sizes as they come, and one large file. */
  let tree: string
  let environment: Record<string, string>

  before(async () => {
    network = await LocalNetwork.start()
    folder = await mkdtemp(join(tmpdir(), 'cumulus-tools-'))
    tree = join(folder, 'tree')
    const viem = dirname(createRequire(import.meta.url).resolve('viem/package.json'))
    await cp(join(viem, '_esm'), tree, { recursive: true })
    await mkdir(join(tree, 'names with spaces'))
    await writeFile(join(tree, 'names with spaces', 'plus+percent%25 äöü €.txt'), 'odd name')
    await writeFile(join(tree, 'large.bin'), seededBytes('tools', 24 * 2 ** 20))
    await writeFile(join(tree, 'empty'), '')
    const user = network.file.s3.users[0]!
    environment = {
      AWS_ACCESS_KEY_ID: user.accessKey,
      AWS_SECRET_ACCESS_KEY: user.secretKey,
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: join(folder, 'aws-config'),
      AWS_SHARED_CREDENTIALS_FILE: join(folder, 'aws-credentials'),
      HOME: folder,
      RESTIC_PASSWORD: 'tested',
      RESTIC_CACHE_DIR: join(folder, 'restic-cache'),
    }
  })
  after(async () => {
    await network?.remove()
    if (folder) await rm(folder, { recursive: true, force: true })
  })

  it('aws syncs a tree there and back', async (t) => {
    const aws = tool(t, 'aws')
    if (!aws) return
    const s3 = (...args: string[]) =>
      runTool(aws, ['--endpoint-url', network.file.s3.endpoint, '--no-cli-pager', ...args], environment)
    await s3('s3', 'mb', 's3://aws-tree')
    await s3('s3', 'sync', '--only-show-errors', tree, 's3://aws-tree/src')
    assert.equal(
      (await s3('s3', 'sync', '--dryrun', tree, 's3://aws-tree/src')).trim(),
      '',
      'a second sync finds nothing to do',
    )
    const back = join(folder, 'aws-back')
    await s3('s3', 'sync', '--only-show-errors', 's3://aws-tree/src', back)
    assert.deepEqual(await digests(back), await digests(tree))
    const listed = JSON.parse(
      await s3('s3api', 'list-objects-v2', '--bucket', 'aws-tree', '--prefix', 'src/names', '--output', 'json'),
    )
    assert.equal(listed.Contents[0].Key, 'src/names with spaces/plus+percent%25 äöü €.txt')
    await s3('s3', 'rb', '--force', 's3://aws-tree')
  })

  it('s3cmd syncs a tree, verifies MD5 and finds nothing more to do', async (t) => {
    const s3cmd = tool(t, 's3cmd')
    if (!s3cmd) return
    const { host } = new URL(network.file.s3.endpoint)
    const args = [
      '--no-ssl',
      `--host=${host}`,
      `--host-bucket=${host}`,
      '--no-progress',
      `--access_key=${environment['AWS_ACCESS_KEY_ID']}`,
      `--secret_key=${environment['AWS_SECRET_ACCESS_KEY']}`,
    ]
    const s3 = (...more: string[]) => runTool(s3cmd, [...args, ...more], environment)
    const part = join(tree, 'actions')
    await s3('mb', 's3://s3cmd-tree')
    await s3('sync', `${part}/`, 's3://s3cmd-tree/a/')
    assert.doesNotMatch(await s3('sync', '--dry-run', `${part}/`, 's3://s3cmd-tree/a/'), /upload:/)
    await s3('put', join(tree, 'large.bin'), 's3://s3cmd-tree/large.bin')
    const back = join(folder, 's3cmd-back')
    await mkdir(back)
    await s3('sync', 's3://s3cmd-tree/a/', `${back}/`)
    assert.deepEqual(await digests(back), await digests(part))
    assert.match(await s3('info', 's3://s3cmd-tree/large.bin'), /File size: 25165824/)
    await s3('del', '--recursive', '--force', 's3://s3cmd-tree')
    await s3('rb', 's3://s3cmd-tree')
  })

  it('rclone copies a tree and its check finds every file equal', async (t) => {
    const rclone = tool(t, 'rclone')
    if (!rclone) return
    const config = {
      ...environment,
      RCLONE_CONFIG: join(folder, 'rclone.conf'),
      RCLONE_CONFIG_C_TYPE: 's3',
      RCLONE_CONFIG_C_PROVIDER: 'Other',
      RCLONE_CONFIG_C_ENV_AUTH: 'true',
      RCLONE_CONFIG_C_ENDPOINT: network.file.s3.endpoint,
      RCLONE_CONFIG_C_REGION: 'us-east-1',
    }
    const call = (...args: string[]) => runTool(rclone, args, config)
    await call('copy', tree, 'c:rclone-tree/deep/er', '--transfers', '16')
    await call('check', tree, 'c:rclone-tree/deep/er')
    await call('check', '--download', join(tree, 'utils'), 'c:rclone-tree/deep/er/utils')
    await call('sync', 'c:rclone-tree/deep/er/utils', join(folder, 'rclone-back'))
    assert.deepEqual(await digests(join(folder, 'rclone-back')), await digests(join(tree, 'utils')))
    await call('purge', 'c:rclone-tree')
  })

  it('restic backs a tree up, checks every byte and restores it', async (t) => {
    const restic = tool(t, 'restic')
    if (!restic) return
    const call = (...args: string[]) =>
      runTool(
        restic,
        ['-r', `s3:${network.file.s3.endpoint}/restic-repo`, '-o', 's3.bucket-lookup=path', ...args],
        environment,
      )
    await call('init')
    await call('backup', tree)
    await writeFile(join(tree, 'empty'), 'no more')
    await call('backup', tree)
    await call('check', '--read-data')
    const back = join(folder, 'restic-back')
    await call('restore', 'latest', '--target', back)
    assert.deepEqual(await digests(join(back, tree)), await digests(tree))
    await call('forget', '--keep-last', '1', '--prune')
    await call('check')
  })
})

function tool(t: TestContext, name: string): string | undefined {
  const found = findTool(name)
  if (!found) {
    process.stderr.write(
      `\n*** ${name} is not on this machine: its test is SKIPPED (apt-get install ${name === 'aws' ? 'awscli' : name})\n\n`,
    )
    t.skip(`${name} is not installed`)
  }
  return found
}

/** SHA-256 of every file under a folder, by path. */
async function digests(root: string): Promise<Record<string, string>> {
  const all: [string, string][] = []
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    all.push([
      relative(root, path),
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ])
  }
  return Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)))
}
