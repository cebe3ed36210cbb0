/** The list of plugins. */
import connections from './connectionsPlugin';
import sidebar from './sidebarPlugin';

export * from './tokens';
export default [connections, sidebar];
