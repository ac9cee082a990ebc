import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import getPort from 'get-port'
import { GuardedProcess } from './guarded-process.js'
import type { Installation } from './installation.js'
import { waitForVersion } from './probe.js'
import { type Durability, type Server, settings } from './server.js'

/** Starts an installed or unpacked server on a free port, with its data in a temporary folder. */
export async function serverFromInstallation(
  installation: Installation,
  name: string,
  durability: Durability,
): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'goscope-server-'))
  const data = join(folder, 'data')
  const log = join(folder, 'log')
  // Servers that share a folder for temporary files stumble over each other's.
  const temporary = join(folder, 'tmp')
  await mkdir(temporary)
  const common = ['--no-defaults', ...installation.locations, `--datadir=${data}`, `--tmpdir=${temporary}`, ...asUser()]
  try {
    await initialise(installation, data, common)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
  const port = await getPort()
  const server = new GuardedProcess(folder, log, [
    ...installation.command,
    ...common,
    ...(installation.family === 'mysql' ? ['--mysqlx=OFF', '--secure-file-priv='] : []),
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    `--socket=${join(folder, 'socket')}`,
    `--pid-file=${join(folder, 'pid')}`,
    ...settings(durability),
  ])
  const url = `mysql://root@127.0.0.1:${port}`
  const start = async () => {
    await server.start()
    return waitForVersion(url, 60_000, () => server.isAlive()).catch(async (cause: unknown) => {
      const tail = (await readFile(log, 'utf8').catch(() => '')).split('\n').slice(-15).join('\n')
      await server.close()
      throw new Error(`${name} does not start:\n${tail}`, { cause })
    })
  }
  return {
    name,
    family: installation.family,
    version: await start(),
    url,
    stop: () => server.close(),
    restart: async (signal = 'SIGTERM') => {
      await server.end(signal)
      await start()
    },
  }
}

async function initialise(installation: Installation, data: string, common: readonly string[]): Promise<void> {
  if (installation.family === 'mysql') {
    await runServer(installation, [...common, '--initialize-insecure'], '')
    return
  }
  await mkdir(join(data, 'mysql'), { recursive: true })
  const sql = await Promise.all(installation.systemTables.map((file) => readFile(file, 'utf8')))
  // Without the variable, version 10.5 lets root in through the socket only.
  const script = ['create database if not exists mysql;', 'use mysql;', 'set @auth_root_socket=null;', ...sql].join(
    '\n',
  )
  await runServer(installation, [...common, '--bootstrap'], script)
}

async function runServer(installation: Installation, options: readonly string[], input: string): Promise<void> {
  const [program = '', ...rest] = installation.command
  const child = spawn(program, [...rest, ...options], { stdio: ['pipe', 'ignore', 'pipe'] })
  let messages = ''
  child.stderr.on('data', (chunk: Buffer) => {
    messages += chunk.toString()
  })
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${installation.origin} cannot set up its data:\n${messages.slice(-2_000)}`)
}

// The servers refuse to run as root unless they are told to.
function asUser(): string[] {
  return userInfo().uid === 0 ? ['--user=root'] : []
}
