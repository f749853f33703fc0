import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, statfs, unlink } from 'node:fs/promises'
import { ioError } from './store-error.ts'

/** An open file. Reads and writes are whole or they throw; several may run side by side. */
export interface DataFile {
  readonly path: string
  /** Fills `into` from `position` on; returns how much there was before the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>
  write(bytes: Uint8Array, position: number): Promise<void>
  /** fdatasync: what was written before the call is durable when it resolves. */
  sync(): Promise<void>
  truncate(length: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/** The file system, as far as this package needs it. Tests put a failing one in its place. */
export interface FileLayer {
  /** Opens for reading and writing, making the file if there is none. `direct` = O_DIRECT. */
  open(path: string, init?: { direct?: boolean }): Promise<DataFile>
  makeFolder(path: string): Promise<void>
  list(folder: string): Promise<string[]>
  remove(path: string): Promise<void>
  /** Makes the names in a folder durable: files made and removed. */
  syncFolder(folder: string): Promise<void>
  /** Bytes that a process without privileges may still write. */
  freeBytes(folder: string): Promise<number>
}

class NodeFile implements DataFile {
  readonly path: string
  readonly #handle: FileHandle
  constructor(path: string, handle: FileHandle) {
    this.path = path
    this.#handle = handle
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let done = 0
    try {
      while (done < into.length) {
        const { bytesRead } = await this.#handle.read(into, done, into.length - done, position + done)
        if (bytesRead === 0) break
        done += bytesRead
      }
    } catch (error) {
      throw ioError('read', this.path, error)
    }
    return done
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0
    try {
      while (done < bytes.length) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done)
        done += bytesWritten
      }
    } catch (error) {
      throw ioError('write', this.path, error)
    }
  }

  async sync(): Promise<void> {
    await this.#handle.datasync().catch((error) => {
      throw ioError('sync', this.path, error)
    })
  }

  async truncate(length: number): Promise<void> {
    await this.#handle.truncate(length).catch((error) => {
      throw ioError('truncate', this.path, error)
    })
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

export const nodeFiles: FileLayer = {
  async open(path, { direct = false } = {}) {
    const flags = constants.O_RDWR | constants.O_CREAT | (direct ? constants.O_DIRECT : 0)
    try {
      return new NodeFile(path, await open(path, flags, 0o600))
    } catch (error) {
      throw ioError('open', path, error)
    }
  },
  async makeFolder(path) {
    await mkdir(path, { recursive: true, mode: 0o700 })
  },
  list: (folder) => readdir(folder),
  async remove(path) {
    await unlink(path).catch((error) => {
      throw ioError('remove', path, error)
    })
  },
  async syncFolder(folder) {
    const handle = await open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  async freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  },
}
