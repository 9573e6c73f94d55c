package corpus

func maliciousGroups() []group {
	return []group{
		globalReduce, instCalls, objCalls, newObjCalls, stackGlobals, stackJuggling, resultPopped, buildStates,
		computedGlobals, dottedReexports, extRegistry, persistentIDs, trustedCallees, gadgetsOfTheLibrary, gadgetsOfOthers,
		brokenTails, frameTricks, memoConfusion, multiStreams, nestedPickles, noProto, opcodeFloods, protocol5,
		parserDifferentials, sizePadding, stringEscapes,
		zipCRC, zipFlagBits, zipHeaderMismatch, zipDuplicates, zipFakeEnds, zipNames, zipPrefixes, zipTrailers,
		zipVersions, zipEncrypted, zipConcatenated, sevenZipTricks,
		torchLegacyCases, torchTarCases, torchZipCases, torchOddMembers, torchScriptCases, marshalCases, polyglots,
		numpyObjects, joblibCases, safetensorsCases, ggufCases, tokenizerTemplates, remoteCode, hydraTargets, yamlTags,
		skopsNodes, pmmlCases, executables, wrongExtensions, rdsPromises, kerasLambdas, kerasModules, kerasFileReads,
		kerasTorchWrappers, hdf5Links, hdf5Pickles, indexTraversals, importedByName, onnxExternal, onnxPython, onnxCustom, tfOps, tfFunctionOps, tfBrokenTails,
		nestedArchives, pathTraversals, bombs, compressedPickles, webDatasets, marFiles,
	}
}

func benignGroups() []group {
	return []group{
		benignStdlib, benignNumpy, benignSklearn, benignJoblib, benignPandas, benignScipy, benignBoosters,
		benignONNX, benignTF, benignText, benignTorch, benignTensors, benignKeras, benignTokenizers, benignArchives, benignData,
	}
}
