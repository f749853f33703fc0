import { type DataFile, type FileLayer, nodeFiles, StoreError } from '../../src/index.ts'

/** A disk that can be made to fail: `fail` says which call throws, and after how many of its bytes. */
export class FailingFiles implements FileLayer {
  /** Returns the error code of a failing call and how many bytes get through first. */
  fail: (call: 'write' | 'sync' | 'read' | 'open', path: string) => { code: string; after?: number } | undefined = () =>
    undefined
  free: number | undefined
  readonly #files = nodeFiles

  async open(path: string, init?: { direct?: boolean }): Promise<DataFile> {
    this.#check('open', path)
    const file = await this.#files.open(path, init)
    return {
      path,
      read: (into, position) => {
        this.#check('read', path)
        return file.read(into, position)
      },
      write: async (bytes, position) => {
        const failure = this.fail('write', path)
        if (!failure) return file.write(bytes, position)
        const after = Math.floor((failure.after ?? 0) / 4096) * 4096
        if (after > 0) await file.write(bytes.subarray(0, after), position)
        throw asError(failure.code)
      },
      sync: async () => {
        this.#check('sync', path)
        await file.sync()
      },
      truncate: (length) => file.truncate(length),
      size: () => file.size(),
      close: () => file.close(),
    }
  }

  makeFolder(path: string): Promise<void> {
    return this.#files.makeFolder(path)
  }

  list(folder: string): Promise<string[]> {
    return this.#files.list(folder)
  }

  remove(path: string): Promise<void> {
    return this.#files.remove(path)
  }

  syncFolder(folder: string): Promise<void> {
    return this.#files.syncFolder(folder)
  }

  async freeBytes(folder: string): Promise<number> {
    return this.free ?? (await this.#files.freeBytes(folder))
  }

  #check(call: 'sync' | 'read' | 'open', path: string): void {
    const failure = this.fail(call, path)
    if (failure) throw asError(failure.code)
  }
}

function asError(code: string): StoreError {
  return new StoreError(code === 'ENOSPC' ? 'DISK_FULL' : 'IO_FAILED', `injected ${code}`)
}
