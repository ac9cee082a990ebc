import { hasDebianPackages, withDebianPackage } from './debian-packages.js'
import { hasContainerEngine, serverFromContainer } from './from-containers.js'
import { serversFromEnvironment } from './from-environment.js'
import { serverFromInstallation } from './from-installation.js'
import { type Installation, installedServers, unpackedServer } from './installation.js'
import { type ServerKind, type ServerName, serverKinds } from './kinds.js'
import type { FinderOptions, Server } from './server.js'

export type { ServerName } from './kinds.js'
export type { Durability, FinderOptions, Server } from './server.js'

/**
 * All servers that the tests are to run on: those whose URLs the environment gives; otherwise containers of every
 * kind, where an engine answers; otherwise every kind that Debian has, from the machine's own binaries or fetched.
 *
 * @throws when one of them cannot be had. The others are stopped.
 */
export async function findServers(options: FinderOptions = {}): Promise<Server[]> {
  const given = await serversFromEnvironment()
  for (const { name, version } of given) options.report?.(`${name}: ${version}, given by the environment`)
  if (given.length > 0) return given
  const installed = (await hasContainerEngine()) ? [] : await installedServers()
  const kinds = (await hasContainerEngine())
    ? serverKinds
    : serverKinds.filter((kind) => kind.debian !== undefined || installed.some((one) => isOf(kind, one)))
  const results = await Promise.allSettled(kinds.map((kind) => start(kind, options)))
  const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []))
  if (failures.length === 0) return servers
  await Promise.all(servers.map((server) => server.stop()))
  throw new Error(failures.map((failure) => failure.message).join('\n'))
}

/** One server, whichever is had most quickly. */
export async function findOneServer(options: FinderOptions = {}): Promise<Server> {
  const [given] = await serversFromEnvironment()
  if (given !== undefined) return given
  const [installed] = (await hasContainerEngine()) ? [] : await installedServers()
  const kind = serverKinds.find((candidate) => installed !== undefined && isOf(candidate, installed))
  return start(kind ?? (serverKinds.find(({ name }) => name === 'mariadb-10.11') as ServerKind), options)
}

/** A server of one's own, for tests that stop or restart it. */
export function startServer(name: ServerName, options: FinderOptions = {}): Promise<Server> {
  return start(serverKinds.find((kind) => kind.name === name) as ServerKind, options)
}

async function start(kind: ServerKind, { report = () => {}, durability = 'fast' }: FinderOptions): Promise<Server> {
  const begin = performance.now()
  const done = (server: Server, origin: string) => {
    report(
      `${kind.name}: ${server.version}, from ${origin}, after ${((performance.now() - begin) / 1000).toFixed(1)} s`,
    )
    return server
  }
  try {
    if (await hasContainerEngine()) {
      return done(await serverFromContainer(kind, durability), `the container image ${kind.image}`)
    }
    const installed = (await installedServers()).find((one) => isOf(kind, one))
    if (installed !== undefined) {
      return done(await serverFromInstallation(installed, kind.name, durability), installed.origin)
    }
    if (kind.debian === undefined || !(await hasDebianPackages())) throw new Error('there is no other source here')
    const origin = `Debian's ${kind.debian.package} (${kind.debian.suite})`
    const unpacked = await withDebianPackage(kind.debian, report, (root) => unpackedServer(root, origin))
    if (!isOf(kind, unpacked)) throw new Error(`${origin} is version ${unpacked.version} by now`)
    return done(await serverFromInstallation(unpacked, kind.name, durability), origin)
  } catch (cause) {
    throw new Error(
      `${kind.name} cannot be had: ${cause instanceof Error ? cause.message : cause}\n` +
        `Give its administrator's URL, as in ${kind.variable}=mysql://root:password@127.0.0.1:3306; ` +
        `or start a Docker engine, which runs ${kind.image}; or install the server` +
        (kind.debian === undefined ? '.' : '; or use a Debian machine, whose apt fetches it.'),
      { cause },
    )
  }
}

function isOf(kind: ServerKind, installation: Installation): boolean {
  return installation.version.startsWith(kind.version)
}
