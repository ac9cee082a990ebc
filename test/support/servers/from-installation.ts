import { randomInt } from 'node:crypto'
import { constants } from 'node:fs'
import { cp, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import getPort from 'get-port'
import { commonArguments, withDataTemplate } from './data-template.js'
import { GuardedFolder } from './guarded-folder.js'
import type { Installation } from './installation.js'
import { waitForVersion } from './probe.js'
import { type Durability, type Server, settings } from './server.js'

/** Starts an installed or unpacked server on a free port, with its data in a temporary folder. */
export async function serverFromInstallation(
  installation: Installation,
  name: string,
  durability: Durability,
): Promise<Server> {
  return withDataTemplate(installation, async (template) => {
    const folder = new GuardedFolder(join(tmpdir(), 'goscope-server-'))
    try {
      return await serverOnCopy(installation, name, durability, template, folder)
    } catch (error) {
      await folder.remove()
      throw error
    }
  })
}

async function serverOnCopy(
  installation: Installation,
  name: string,
  durability: Durability,
  template: string,
  folder: GuardedFolder,
): Promise<Server> {
  const data = join(folder.path, 'data')
  await cp(template, data, { recursive: true, mode: constants.COPYFILE_FICLONE })
  // Servers that share a folder for temporary files stumble over each other's.
  const temporary = join(folder.path, 'tmp')
  await mkdir(temporary)
  const port = await freePort()
  const command = [
    ...installation.command,
    ...commonArguments(installation, data, temporary),
    ...(installation.family === 'mysql' ? ['--mysqlx=OFF', '--secure-file-priv='] : []),
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    `--socket=${join(folder.path, 'socket')}`,
    `--pid-file=${join(folder.path, 'pid')}`,
    ...settings(durability),
  ]
  const url = `mysql://root@127.0.0.1:${port}`
  const start = async () => {
    folder.start(command)
    return waitForVersion(url, 60_000, () => folder.isRunning()).catch(async (cause: unknown) => {
      throw new Error(`${name} does not start:\n${await folder.log()}`, { cause })
    })
  }
  return {
    name,
    family: installation.family,
    version: await start(),
    url,
    stop: () => folder.remove(),
    restart: async (signal = 'SIGTERM') => {
      await folder.end(signal)
      await start()
    },
  }
}

/** A port that no client's connection takes while its server restarts: systems give those higher ones. */
async function freePort(): Promise<number> {
  return getPort({ port: Array.from({ length: 20 }, () => randomInt(20_000, 30_000)) })
}
