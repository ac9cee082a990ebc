import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { GuardedFolder } from './guarded-folder.js'

/**
 * Uses a folder that is made once and kept for later runs. One that is there is whole, unless somebody meddled with
 * it: where it turns out to be of no use, it is made anew. Processes that miss it at the same time each make their
 * own; the first to finish keeps it.
 *
 * @param make - Fills the new folder `made` inside the workshop, which is removed afterwards.
 */
export async function withCachedFolder<T>(
  name: string,
  make: (made: string, workshop: GuardedFolder) => Promise<void>,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const cache = process.env.GOSCOPE_SERVER_CACHE || join(homedir(), '.cache/goscope-mysql/servers')
  const kept = join(cache, name)
  if (await isFolder(kept)) {
    try {
      return await use(kept)
    } catch {
      await rm(kept, { recursive: true, force: true })
    }
  }
  const workshop = new GuardedFolder(join(cache, 'making-'))
  try {
    const made = join(workshop.path, 'made')
    await mkdir(made)
    await make(made, workshop)
    await rename(made, kept).catch(async (error: unknown) => {
      if (!(await isFolder(kept))) throw error
    })
  } finally {
    await workshop.remove()
  }
  return use(kept)
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  )
}
