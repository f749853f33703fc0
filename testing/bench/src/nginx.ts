import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BenchError } from './bench-error.ts'
import { childrenOf } from './process-usage.ts'

const BINARIES = ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/opt/homebrew/bin/nginx']

/** An nginx of our own that keeps files by WebDAV PUT: own folder, configuration, pid file and port, loopback only. */
export class Nginx {
  readonly port: number
  readonly folder: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number, folder: string) {
    this.#child = child
    this.port = port
    this.folder = folder
  }

  /** Returns the reason if there is no nginx with WebDAV here. */
  static async start(folder: string, signal: AbortSignal): Promise<Nginx | string> {
    const binary = BINARIES.find((path) => {
      try {
        // -V prints to standard error.
        execFileSync(path, ['-V'], { stdio: ['ignore', 'ignore', 'pipe'] })
        return true
      } catch {
        return false
      }
    })
    if (!binary) return `no nginx at ${BINARIES.join(', ')}`
    const port = await freePort()
    await mkdir(join(folder, 'files'), { recursive: true })
    const log = join(folder, 'error.log')
    const config = join(folder, 'nginx.conf')
    await writeFile(config, configuration(folder, port))
    const child = spawn(binary, ['-p', folder, '-c', config, '-e', log], { stdio: 'ignore', detached: true })
    const nginx = new Nginx(child, port, folder)
    const ended = new Promise<boolean>((resolve) => {
      child.once('error', () => resolve(true))
      child.once('exit', () => resolve(true))
    })
    for (let attempt = 0; attempt < 100; attempt++) {
      if (await Promise.race([ended, sleep(50, false, { signal })])) {
        const words = await readFile(log, 'utf8').catch(() => '')
        return `nginx does not start: ${words.trim().split('\n').at(-1) ?? ''}`
      }
      const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)
      if (answer) return nginx
    }
    await nginx.stop()
    throw new BenchError('NOT_HERE', 'nginx started and does not answer')
  }

  /** The master and its workers. */
  get pids(): number[] {
    return [this.#child.pid!, ...childrenOf(this.#child.pid!)]
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    await ended
  }
}

function configuration(folder: string, port: number): string {
  const asRoot = process.getuid?.() === 0
  return `daemon off;
${asRoot ? 'user root;' : ''}
worker_processes 2;
pid ${folder}/nginx.pid;
events { worker_connections 256; }
http {
  access_log off;
  client_max_body_size 0;
  client_body_buffer_size 1m;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  server {
    listen 127.0.0.1:${port};
    root ${folder}/files;
    location / { dav_methods PUT DELETE; create_full_put_path on; }
  }
}
`
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
